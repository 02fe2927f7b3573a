"""The classes of public data sets: COCO's categories with their real ids, and ImageNet-1K's folders."""

from collections.abc import Sequence
from typing import Any

NAMES = (
    'person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, '
    'parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, '
    'handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, '
    'surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, '
    'broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, '
    'laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, '
    'scissors, teddy bear, hair drier, toothbrush'
)
# The ids have gaps between 1 and 90.
UNUSED_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
USED_IDS = [number for number in range(1, 91) if number not in UNUSED_IDS]
COCO_CATEGORIES = [{'id': number, 'name': name} for number, name in zip(USED_IDS, NAMES.split(', '), strict=True)]


def make_coco_categories(names: Sequence[str]) -> list[dict[str, Any]]:
    """Categories of these names: COCO's own where they are COCO's, else numbered from 1 as annotation tools do."""
    if list(names) == [category['name'] for category in COCO_CATEGORIES]:
        return COCO_CATEGORIES
    return [{'id': number, 'name': name} for number, name in enumerate(names, start=1)]


def list_imagenet_folders() -> list[str]:
    """The names of ImageNet-1K's folders (WordNet ids), n01440764 and so on, in the order of the classes."""
    # timm carries the list; mmpretrain has the classes' names only. Imported here because it takes seconds.
    from timm.data import ImageNetInfo

    return ImageNetInfo('imagenet-1k').label_names()
