"""Check data before training: whole annotation files, and all images or a random sample.

Begin with ``check.py``; ``coco.py`` and ``images.py`` hold the tables of issues.
"""

from .check import check_datasets
from .loading import TooManyUnreadableError, skip_unreadable
from .report import Report

__all__ = ['Report', 'TooManyUnreadableError', 'check_datasets', 'skip_unreadable']
