"""Masks of COCO's annotations: polygons, and run lengths of the whole image."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .problems import Kind, Outcome, Report
from .run_lengths import are_whole

NO_MASK = Kind(
    'annotations without a mask (segmentation), which the config loads',
    Outcome.STOPS,
    'with boxes only, start from configs/custom_coco_boxonly.py',
)
SHORT = Kind(
    'masks with polygons of fewer than six numbers, or of an odd number',
    Outcome.LEFT_OUT,
    'training leaves the polygons out, and objects that have no other',
)
SHORT_IN_SCORES = Kind(SHORT.what, Outcome.STOPS, 'remove these polygons: scores of masks cannot be computed with them')
NO_POLYGONS = Kind(
    'masks that are neither lists of polygons nor run lengths',
    Outcome.STOPS,
    'write [[x1, y1, x2, y2, x3, y3, ...], ...] in finite numbers, or {"size": [height, width], "counts": ...}',
)
FAR_OUTSIDE = Kind(
    'masks with polygons that reach out of the image by more than its longer side',
    Outcome.STOPS,
    'correct them: drawing them takes memory in proportion to their length',
)
BROKEN_RUNS = Kind(
    "run lengths that do not make up a mask of the image's height and width", Outcome.STOPS, 'encode these masks again'
)


def check_masks(
    place: str,
    annotations: Sequence[Mapping[str, Any]],
    sizes: NDArray[np.float64],
    is_scored: bool,
    report: Report,
) -> None:
    """Report masks that cannot be drawn, or are not the image's.

    Args:
        place: The annotation file.
        annotations: With ``id``, and ``segmentation`` if all is well.
        sizes: Width and height of each annotation's image, (annotations, 2).
        is_scored: Whether scores are computed against them, which bears less than training.
        report: Gets the problems.
    """
    found = {NO_MASK: [], SHORT_IN_SCORES if is_scored else SHORT: [], NO_POLYGONS: [], FAR_OUTSIDE: []}
    runs = []
    longer_sides = sizes.max(1).tolist()
    for number, annotation in enumerate(annotations):
        mask = annotation.get('segmentation')
        if isinstance(mask, dict):
            runs.append(number)
            continue
        kind = problem_of_polygons(mask, longer_sides[number])
        if kind is not None:
            found[SHORT_IN_SCORES if kind is SHORT and is_scored else kind].append(number)
    shapes = [(int(height), int(width)) for width, height in sizes[runs].tolist()]
    whole = are_whole([annotations[number]['segmentation'] for number in runs], shapes)
    found[BROKEN_RUNS] = [number for number, is_whole in zip(runs, whole, strict=True) if not is_whole]
    for kind, numbers in found.items():
        if numbers:
            report.add(kind, place, [f'annotation {annotations[number]["id"]}' for number in numbers])


def problem_of_polygons(polygons: Any, side: float) -> Kind | None:
    """What is wrong with an annotation's polygons, in an image whose longer side is given."""
    if not polygons:
        return NO_MASK
    if not isinstance(polygons, list) or not all(isinstance(polygon, list) for polygon in polygons):
        return NO_POLYGONS
    try:
        is_finite = all(isfinite(sum(polygon)) for polygon in polygons)
    # A whole number may be too large for a float.
    except (TypeError, OverflowError):
        return NO_POLYGONS
    if not is_finite:
        return NO_POLYGONS
    if any(min(polygon) < -side or max(polygon) > 2 * side for polygon in polygons if polygon):
        return FAR_OUTSIDE
    return SHORT if any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons) else None
