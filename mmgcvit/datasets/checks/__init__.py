"""Data are looked at before anything is trained on them: annotations as a whole, images all or a sample of them.

Begin with ``checking.py``; ``coco.py`` has the table of all that may be wrong with annotations.
"""

from .checking import check_datasets
from .contents import Contents
from .loading import TooManyDamagedError, skip_damaged
from .problems import Outcome, Report
from .sources import Settings, class_of, kind_of, leaf_datasets, settings_of, type_name

__all__ = [
    'Contents',
    'Outcome',
    'Report',
    'Settings',
    'TooManyDamagedError',
    'check_datasets',
    'class_of',
    'kind_of',
    'leaf_datasets',
    'settings_of',
    'skip_damaged',
    'type_name',
]
