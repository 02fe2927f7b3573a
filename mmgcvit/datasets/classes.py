"""List COCO's categories with their ids."""

from collections.abc import Sequence
from typing import Any

COCO_NAMES = (
    'person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign, '
    'parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, '
    'handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, '
    'surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, '
    'broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, '
    'laptop, mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, '
    'scissors, teddy bear, hair drier, toothbrush'
)
# COCO numbers its 80 categories from 1 to 90 and leaves these ids out.
UNUSED_IDS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
USED_IDS = [category_id for category_id in range(1, 91) if category_id not in UNUSED_IDS]
# Ids of annotations are smaller: pycocotools stores them as floats.
MAX_ID = 1 << 53
COCO_CATEGORIES = [{'id': i, 'name': name} for i, name in zip(USED_IDS, COCO_NAMES.split(', '), strict=True)]


def make_coco_categories(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return categories in COCO's format for class names. Ids are 1, 2, ..., but COCO's ids for COCO's 80 names."""
    if list(names) == [category['name'] for category in COCO_CATEGORIES]:
        return COCO_CATEGORIES
    return [{'id': category_id, 'name': name} for category_id, name in enumerate(names, start=1)]
