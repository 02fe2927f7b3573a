"""Boxes of COCO's annotations against the images that they are in."""

from collections.abc import Mapping, Sequence
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .numbers import as_numbers
from .problems import Kind, Outcome, Report

NOT_FINITE = Kind(
    'boxes or areas that are no finite numbers', Outcome.STOPS, 'write bbox as [x, y, width, height] and area in pixels'
)
DEGENERATE = 'training leaves them out, scores count them'
NEGATIVE = Kind('boxes of negative width or height', Outcome.LEFT_OUT, DEGENERATE)
TOO_SMALL = Kind('boxes under a pixel in width or height', Outcome.LEFT_OUT, DEGENERATE)
OUTSIDE = Kind('boxes wholly outside of the image', Outcome.LEFT_OUT, DEGENERATE)
NO_AREA = Kind('areas of zero or less', Outcome.LEFT_OUT, DEGENERATE)
OVER_THE_EDGE = Kind('boxes partly outside of the image', Outcome.REPAIRED, 'resizing clips them')
# Rounded numbers reach over the edge by less, and COCO's own do.
PIXEL = 1.0


def check_boxes(
    place: str, annotations: Sequence[Mapping[str, Any]], sizes: NDArray[np.float64], report: Report
) -> NDArray[np.bool_]:
    """Report boxes that cannot be trained on as they are.

    Args:
        place: The annotation file.
        annotations: With ``bbox`` (x, y, width, height in pixels), ``area`` and ``id``.
        sizes: Width and height of each annotation's image, (annotations, 2).
        report: Gets the problems.

    Returns:
        Whether training uses each of them, (annotations,).
    """
    boxes = as_numbers([annotation['bbox'] for annotation in annotations], 4)
    areas = as_numbers([annotation['area'] for annotation in annotations], 1)[:, 0]
    start, extent = boxes[:, :2], boxes[:, 2:]
    left = np.isfinite(boxes).all(1) & np.isfinite(areas)
    inside = np.minimum(start + extent, sizes) - np.maximum(start, 0)
    over = np.maximum(-start, start + extent - sizes).max(1)
    checks = {
        NOT_FINITE: ~left,
        NEGATIVE: (extent < 0).any(1),
        TOO_SMALL: (extent < PIXEL).any(1),
        OUTSIDE: (inside <= 0).any(1),
        NO_AREA: areas <= 0,
    }
    for kind, has_it in checks.items():
        # Each box is reported once, for the first that is wrong with it.
        concerned = has_it if kind is NOT_FINITE else has_it & left
        add(report, kind, place, annotations, concerned, 'bbox')
        left &= ~has_it
    add(report, OVER_THE_EDGE, place, annotations, left & (over > PIXEL), 'bbox')
    return left


def add(
    report: Report,
    kind: Kind,
    place: str,
    annotations: Sequence[Mapping[str, Any]],
    concerned: NDArray[np.bool_],
    key: str,
) -> None:
    """Report some of the annotations by their ids and what they say under a key."""
    found = [f'annotation {annotations[i]["id"]} {brief(annotations[i][key])}' for i in np.flatnonzero(concerned)]
    if found:
        report.add(kind, place, found)
