"""What detection configs need beyond mmdet. Imports mmdet; configs name it under ``custom_imports``."""

from .float32 import DINO, RPNHead, SingleRoIExtractor
from .tta import InstanceTTAModel

__all__ = ['DINO', 'InstanceTTAModel', 'RPNHead', 'SingleRoIExtractor']
