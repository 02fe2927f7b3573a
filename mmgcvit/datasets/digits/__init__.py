"""A small data set of real images that needs no download: scenes of scanned handwritten digits."""

from .ade20k import write_ade20k
from .coco import write_coco
from .imagenet import write_imagenet
from .scenes import Scene, SceneComposer

__all__ = ['Scene', 'SceneComposer', 'write_ade20k', 'write_coco', 'write_imagenet']
