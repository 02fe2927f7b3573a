"""The ids and names of categories: COCO's own for its 80 classes, and 1, 2, ... for others."""

from collections.abc import Sequence
from typing import TypedDict


class CategoryEntry(TypedDict):
    """An entry of a COCO file's categories."""

    id: int
    name: str


def list_coco_categories() -> list[CategoryEntry]:
    """Return COCO's categories, as torchvision lists them: 80 classes, ids from 1 to 90."""
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    names = enumerate(MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta['categories'])
    return [{'id': i, 'name': name} for i, name in names if name not in ('__background__', 'N/A')]


def make_coco_categories(names: Sequence[str]) -> list[CategoryEntry]:
    """Return COCO's categories for class names.

    Ids are 1, 2, ..., but for COCO's 80 names, in any order, COCO's own, so that predictions fit
    its files. This holds for the data of all formats, and for predictions.
    """
    if len(names) == 80:
        ids = {category['name']: category['id'] for category in list_coco_categories()}
        if ids.keys() == set(names):
            return [{'id': ids[name], 'name': name} for name in names]
    return [{'id': category_id, 'name': name} for category_id, name in enumerate(names, start=1)]
