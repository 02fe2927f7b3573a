"""LSA. Start reading in backbone.py."""

from .archs import LSAArch
from .backbone import LSA

__all__ = ['LSA', 'LSAArch']
