"""Compare predictions with the ground truth (read ``mistakes.py`` first), and plot the curves of a training."""
