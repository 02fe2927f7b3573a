"""Data formats of one's own data: COCO, YOLO, Pascal VOC, a folder per class, segmentation maps.

Begin with ``detect.py``. Annotations of objects are read into COCO's format, which mmdet trains on.
"""

from .dataset_info import DatasetInfo, Split, write_annotations
from .detect import read_folder

__all__ = ['DatasetInfo', 'Split', 'read_folder', 'write_annotations']
