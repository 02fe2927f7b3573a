"""Read a user's dataset in the format of COCO, YOLO or Pascal VOC, or as class folders or segmentation maps.

Start with ``detect.py``. Boxes and polygons are converted to COCO annotations, which mmdet trains on.
"""

from .dataset_info import DatasetInfo, Split, write_annotations
from .detect import read_folder

__all__ = ['DatasetInfo', 'Split', 'read_folder', 'write_annotations']
