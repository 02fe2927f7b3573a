"""Check datasets before training: annotation files completely, and all images or a random sample.

Start with ``check.py``. Each module defines the issues that it finds as constants of class :class:`.report.Issue`.
"""

from ..skip_unreadable import TooManyUnreadableError, skip_unreadable
from .datasets import check_datasets
from .issues import Report

__all__ = ['Report', 'TooManyUnreadableError', 'check_datasets', 'skip_unreadable']
