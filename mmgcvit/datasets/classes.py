"""List COCO's categories with their ids."""

from collections.abc import Sequence
from typing import Any

# Ids of annotations are smaller: pycocotools stores them as floats.
MAX_ID = 1 << 53


def list_coco_categories() -> list[dict[str, Any]]:
    """Return COCO's categories, as torchvision lists them: its 80 classes have ids from 1 to 90, with gaps."""
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    names = enumerate(MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta['categories'])
    return [{'id': i, 'name': name} for i, name in names if name not in ('__background__', 'N/A')]


def make_coco_categories(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return categories in COCO's format for class names. Ids are 1, 2, ..., but COCO's ids for COCO's 80 names."""
    coco = list_coco_categories() if len(names) == 80 else []
    if list(names) == [category['name'] for category in coco]:
        return coco
    return [{'id': category_id, 'name': name} for category_id, name in enumerate(names, start=1)]
