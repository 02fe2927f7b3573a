"""What detection configs need beyond mmdet. The registry imports this; without mmdet there is nothing to register."""

from importlib.util import find_spec

if find_spec('mmdet') is not None:
    from .finite_predictions import FinitePredictionsHook
    from .float32 import DINO, RPNHead, SingleRoIExtractor
    from .matching import HungarianAssigner
    from .tta import InstanceTTAModel

    __all__ = [
        'DINO',
        'FinitePredictionsHook',
        'HungarianAssigner',
        'InstanceTTAModel',
        'RPNHead',
        'SingleRoIExtractor',
    ]
