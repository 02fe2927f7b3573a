"""Check data before training: whole annotation files, and all images or a random sample.

Begin with ``check.py``; ``coco.py`` and ``images.py`` hold the tables of issues.
"""

from .check import check_datasets
from .loading import TooManyDamagedError, skip_damaged
from .report import Report

__all__ = ['Report', 'TooManyDamagedError', 'check_datasets', 'skip_damaged']
