"""Subclasses of mmdet's modules, transforms and metric. Each class works around one bug or missing
feature of mmdet or mmcv, and says when it can be removed.

Configs name this package in ``custom_imports``, which registers all classes.
"""

from ...ops.packages import import_task_package

# mmdet imports mmpretrain, which may be broken. Configs import this package before mmdet.
import_task_package('mmdet')

from .annotations import LoadEncodedAnnotations  # noqa: E402
from .assigners import (  # noqa: E402
    DynamicSoftLabelAssigner,
    HungarianAssigner,
    IgnoringAssigner,
    MaxIoUAssigner,
    RandomSampler,
)
from .coco_metric import CocoMetric, UnlimitedCOCOeval  # noqa: E402
from .dino import DINO, RefPointHead  # noqa: E402
from .exif import ApplyExifAsAnnotated  # noqa: E402
from .mask_heads import (  # noqa: E402
    FCNMaskHead,
    LargeMasksRTMDetHead,
    MaskFormerFusionHead,
    RTMDetInsHead,
    RTMDetInsSepBNHead,
)
from .mixed_precision import (  # noqa: E402
    CascadeRoIHead,
    Float32RoIHead,
    MSDeformAttnPixelDecoder,
    RPNHead,
    StandardRoIHead,
)
from .mosaic import Mosaic  # noqa: E402

__all__ = [
    'DINO',
    'ApplyExifAsAnnotated',
    'CascadeRoIHead',
    'CocoMetric',
    'DynamicSoftLabelAssigner',
    'FCNMaskHead',
    'Float32RoIHead',
    'HungarianAssigner',
    'IgnoringAssigner',
    'LargeMasksRTMDetHead',
    'LoadEncodedAnnotations',
    'MSDeformAttnPixelDecoder',
    'MaskFormerFusionHead',
    'MaxIoUAssigner',
    'Mosaic',
    'RPNHead',
    'RTMDetInsHead',
    'RTMDetInsSepBNHead',
    'RandomSampler',
    'RefPointHead',
    'StandardRoIHead',
    'UnlimitedCOCOeval',
]
