"""Data as people have it: what a folder holds is found out, read, and where nothing is set aside for validation split.

Begin with ``finding.py``; each layout that has annotations is a file of its own.
"""

from .finding import find_layout
from .parts import Found, Part, write_annotations

__all__ = ['Found', 'Part', 'find_layout', 'write_annotations']
