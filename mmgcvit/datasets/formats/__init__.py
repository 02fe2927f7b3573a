"""Read a user's dataset: COCO, YOLO or Pascal VOC annotations, class folders, or images with segmentation maps.

Start with ``finding.py``. Boxes and polygons are converted to COCO annotations, which mmdet trains on.
"""

from .dataset_info import DatasetInfo, Split
from .finding import read_folder
from .splitting import split_validation, write_annotations

__all__ = ['DatasetInfo', 'Split', 'read_folder', 'split_validation', 'write_annotations']
