"""Compare predictions with the ground truth, and plot the curves of a training.

``mistakes.py`` (read it first) finds the worst images and the confusions between classes.
``training_curves.py`` plots what a training has logged.
"""
