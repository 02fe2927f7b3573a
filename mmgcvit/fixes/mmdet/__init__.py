"""Subclasses of mmdet's modules, transforms and metric. Each class works around one bug or missing
feature of mmdet or mmcv, and says when it can be removed.

Configs name this package in ``custom_imports``, which registers all classes.
"""

from ...ops.packages import import_task_package

# mmdet imports mmpretrain, which may be broken. Configs import this package before mmdet.
import_task_package('mmdet')

# ruff: noqa: E402, F401
from .annotations import LoadEncodedAnnotations
from .assigners import (
    DynamicSoftLabelAssigner,
    HungarianAssigner,
    IgnoringAssigner,
    MaxIoUAssigner,
    RandomSampler,
)
from .coco_metric import CocoMetric, UnlimitedCOCOeval
from .dino import DINO, RefPointHead
from .exif import ApplyExifAsAnnotated
from .mask_heads import (
    FCNMaskHead,
    LargeMasksRTMDetHead,
    MaskFormerFusionHead,
    RTMDetInsHead,
    RTMDetInsSepBNHead,
)
from .mixed_precision import (
    CascadeRoIHead,
    Float32RoIHead,
    MSDeformAttnPixelDecoder,
    RPNHead,
    StandardRoIHead,
)
from .mosaic import Mosaic
