"""Checkpoints of other code bases: their key layouts, as tables, and the way into this package's."""

from .gcvit_original import from_original_gcvit

__all__ = ['from_original_gcvit']
