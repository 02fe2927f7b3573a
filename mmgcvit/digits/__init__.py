"""A small data set of real images that needs no download: scenes of scanned handwritten digits.

And the miniatures: the same scans laid out as COCO, ADE20K and ImageNet-1K are, with their classes.
"""

from .ade20k import write_ade20k
from .coco import write_coco
from .coco_categories import COCO_CATEGORIES, coco_categories
from .imagenet import write_imagenet
from .miniature_ade20k import write_miniature_ade20k
from .miniature_coco import write_miniature_coco
from .miniature_imagenet import imagenet_folders, write_miniature_imagenet
from .scenes import Scene, SceneComposer

__all__ = [
    'COCO_CATEGORIES',
    'Scene',
    'SceneComposer',
    'coco_categories',
    'imagenet_folders',
    'write_ade20k',
    'write_coco',
    'write_imagenet',
    'write_miniature_ade20k',
    'write_miniature_coco',
    'write_miniature_imagenet',
]
