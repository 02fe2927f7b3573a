"""GC ViT. Start reading in backbone.py."""

from .backbone import GCViT

__all__ = ['GCViT']
