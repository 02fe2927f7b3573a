"""Miniatures of COCO, ADE20K and ImageNet-1K: their layout, files and classes, with a few images of scanned digits."""

from ..coco_categories import COCO_CATEGORIES, coco_categories
from .ade20k import write_miniature_ade20k
from .coco import write_miniature_coco
from .imagenet import imagenet_folders, write_miniature_imagenet

__all__ = [
    'COCO_CATEGORIES',
    'coco_categories',
    'imagenet_folders',
    'write_miniature_ade20k',
    'write_miniature_coco',
    'write_miniature_imagenet',
]
