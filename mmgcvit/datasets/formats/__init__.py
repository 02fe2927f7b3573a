"""Read a user's dataset: COCO, YOLO or Pascal VOC annotations, class folders, or images with
segmentation maps.

Start with ``finding.py``. Boxes and polygons are converted to COCO annotations, which mmdet trains
on.
"""

from .dataset_info import DatasetInfo, Split, write_annotations
from .finding import find_folder, read_folder
from .hold_out import split_validation

__all__ = [
    'DatasetInfo',
    'Split',
    'find_folder',
    'read_folder',
    'split_validation',
    'write_annotations',
]
