"""Read a user's dataset: COCO, YOLO or Pascal VOC annotations, maps, or class folders.

Each format is a module with its layouts (``LAYOUTS``) and its reader. Boxes and polygons become
COCO annotations, which mmdet trains on. Start with ``finding.py``.
"""

from .finding import FORMATS, read_folder, read_folders

__all__ = ['FORMATS', 'read_folder', 'read_folders']
