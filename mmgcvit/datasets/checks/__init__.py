"""Check data before training: whole annotation files, and all images or a random sample.

Begin with ``check.py``; ``coco.py`` and ``images.py`` hold the tables of issues.
"""

from .check import DatasetSummary, check_datasets
from .loading import TooManyDamagedError, skip_damaged
from .report import Outcome, Report

__all__ = ['DatasetSummary', 'Outcome', 'Report', 'TooManyDamagedError', 'check_datasets', 'skip_damaged']
