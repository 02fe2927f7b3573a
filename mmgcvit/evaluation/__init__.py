"""Compare predictions with the ground truth: confusion matrix, worst images, curves.

Read ``mistakes.py`` first.
"""
