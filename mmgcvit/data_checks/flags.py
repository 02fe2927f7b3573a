"""The flags of annotations in COCO's format: ``iscrowd``, of objects in a group, and ``ignore``."""

from collections.abc import Mapping, Sequence
from reprlib import repr as brief
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .problems import Kind, Outcome, Report

NO_FLAG = Kind(
    'annotations whose iscrowd or ignore is neither 0 nor 1',
    Outcome.STOPS,
    "write these as numbers: hosts take any text for 1, '0' too, and scores cannot be computed with null",
)


# What each may be. Hosts take an ignore that is null for 0; scores cannot be computed with such an iscrowd.
ALLOWED = {'iscrowd': (0, 1), 'ignore': (0, 1, None)}


def have_flag(place: str, annotations: Sequence[Mapping[str, Any]], key: str, report: Report) -> NDArray[np.bool_]:
    """Whether annotations have a flag set, (annotations,); what is no flag is reported, and none is taken for 0."""
    values = [annotation.get(key, 0) for annotation in annotations]
    odd = [number for number, value in enumerate(values) if value not in ALLOWED[key]]
    if odd:
        report.add(NO_FLAG, place, [f'annotation {annotations[i]["id"]} {key} {brief(values[i])}' for i in odd])
    return np.array([value == 1 for value in values], dtype=bool)
