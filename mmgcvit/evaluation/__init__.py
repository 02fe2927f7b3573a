"""Compare predictions with the ground truth: confusion matrix, worst images, curves.

Read ``scoring.py`` and ``mistakes.py`` first.
"""
