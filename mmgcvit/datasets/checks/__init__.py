"""Data are looked at before anything is trained on them: annotations as a whole, images all or a sample of them.

Begin with ``checking.py``; ``coco.py`` has the table of all that may be wrong with annotations.
"""

from .checking import check_datasets
from .contents import Contents
from .loading import TooManyDamagedError, skip_damaged
from .problems import Outcome, Report

__all__ = ['Contents', 'Outcome', 'Report', 'TooManyDamagedError', 'check_datasets', 'skip_damaged']
