"""What classification configs need beyond mmpretrain. Imports mmpretrain; configs name it under ``custom_imports``."""

from .imagenet_v2 import ImageNetV2

__all__ = ['ImageNetV2']
