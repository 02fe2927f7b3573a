"""Compare two files predictions.json of the same images: from two processors, or two versions of
torch.

    python tools/installation/compare_predictions.py A/predictions.json B/predictions.json

Each object is paired with the nearest one of its image and class, whose box differs by less than
half of its side. It prints how many objects each file has, and the largest differences of scores (0
to 1) and boxes (pixels) in a pair. Its exit code is 1 if an object has no partner.
"""

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np


class Difference(NamedTuple):
    """How two lists of predictions differ."""

    num_objects: tuple[int, int]
    num_pairs: int
    score: float  # the largest difference in a pair
    box: float  # the largest difference of a left, top, width or height, in pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('first', type=Path)
    parser.add_argument('second', type=Path)
    args = parser.parse_args()
    found = compare(*(json.loads(path.read_text()) for path in (args.first, args.second)))
    print(
        f'{found.num_objects[0]} and {found.num_objects[1]} objects, {found.num_pairs} pairs; '
        f'largest difference of scores {found.score:.2e}, of boxes {found.box:.2e} px'
    )
    if set(found.num_objects) != {found.num_pairs}:
        raise SystemExit(1)


def compare(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> Difference:
    """Pair the objects of two lists in COCO's results format."""
    pairs = []
    rest = list(second)
    for record in first:
        key = (record['image_id'], record['category_id'])
        same = [other for other in rest if (other['image_id'], other['category_id']) == key]
        if not same:
            continue
        nearest = min(same, key=lambda other: measure_distance(record, other))
        if measure_distance(record, nearest) < min(record['bbox'][2:]) / 2:
            pairs.append((record, nearest))
            rest.remove(nearest)
    scores = [abs(record['score'] - other['score']) for record, other in pairs]
    boxes = [measure_distance(record, other) for record, other in pairs]
    return Difference(
        (len(first), len(second)), len(pairs), max(scores, default=0.0), max(boxes, default=0.0)
    )


def measure_distance(record: dict[str, Any], other: dict[str, Any]) -> float:
    """Return the largest difference of two boxes' left, top, width and height."""
    return float(np.abs(np.subtract(record['bbox'], other['bbox'])).max())


if __name__ == '__main__':
    main()
