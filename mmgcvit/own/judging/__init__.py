"""Compare predictions with the ground truth: confusion matrix, worst images, curves.

Read ``mistakes.py`` first, then ``task_evaluation.py``, which says what differs by task.
"""
