"""LSA. Start reading in backbone.py."""

from .archs import ARCHS, LSAArch
from .backbone import LSA

__all__ = ['ARCHS', 'LSA', 'LSAArch']
