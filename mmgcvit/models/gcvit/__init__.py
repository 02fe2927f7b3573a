"""GC ViT. Start reading in backbone.py."""

from .archs import ARCHS, GCViTArch
from .backbone import GCViT

__all__ = ['ARCHS', 'GCViT', 'GCViTArch']
