"""Compare predictions with the ground truth: mistakes, curves and grids. Read ``mistakes.py`` first."""
