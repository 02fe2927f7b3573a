"""What detection configs need beyond mmdet. Imports mmdet; configs name it under ``custom_imports``."""

from .tta import InstanceTTAModel

__all__ = ['InstanceTTAModel']
