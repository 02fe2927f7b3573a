"""The classes of public data sets: COCO's categories with their real ids, and ImageNet-1K's folders."""

from collections.abc import Sequence
from typing import Any

NAMES = {
    'person': 'person',
    'vehicle': 'bicycle, car, motorcycle, airplane, bus, train, truck, boat',
    'outdoor': 'traffic light, fire hydrant, stop sign, parking meter, bench',
    'animal': 'bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe',
    'accessory': 'backpack, umbrella, handbag, tie, suitcase',
    'sports': 'frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard, '
    'tennis racket',
    'kitchen': 'bottle, wine glass, cup, fork, knife, spoon, bowl',
    'food': 'banana, apple, sandwich, orange, broccoli, carrot, hot dog, pizza, donut, cake',
    'furniture': 'chair, couch, potted plant, bed, dining table, toilet',
    'electronic': 'tv, laptop, mouse, remote, keyboard, cell phone',
    'appliance': 'microwave, oven, toaster, sink, refrigerator',
    'indoor': 'book, clock, vase, scissors, teddy bear, hair drier, toothbrush',
}
# The ids have gaps between 1 and 90.
UNUSED_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
COCO_CATEGORIES = [
    {'supercategory': group, 'id': category_id, 'name': name}
    for category_id, (name, group) in zip(
        [number for number in range(1, 91) if number not in UNUSED_IDS],
        [(name, group) for group, names in NAMES.items() for name in names.split(', ')],
        strict=True,
    )
]


def coco_categories(names: Sequence[str]) -> list[dict[str, Any]]:
    """Categories of these names: COCO's own where they are COCO's, else numbered from 1 as annotation tools do."""
    if list(names) == [category['name'] for category in COCO_CATEGORIES]:
        return COCO_CATEGORIES
    return [{'supercategory': 'object', 'id': number, 'name': name} for number, name in enumerate(names, start=1)]


def imagenet_folders() -> list[str]:
    """The names of ImageNet-1K's folders (WordNet ids), n01440764 and so on, in the order of the classes."""
    # timm carries the list; mmpretrain has the classes' names only. Imported here because it takes seconds.
    from timm.data import ImageNetInfo

    return ImageNetInfo('imagenet-1k').label_names()
