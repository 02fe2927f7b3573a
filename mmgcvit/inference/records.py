"""Predictions as JSON: COCO's format for results, with the names of files and classes beside the numbers."""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from ..datasets.coco_categories import coco_categories
from ..errors import UserError
from .results import Classification, Detections, Prediction, Segmentation

# So many of a classifier's classes are written, the likeliest first.
MOST_CLASSES = 5


def categories_of(task: str, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The categories that records refer to by ``category_id``, in the order of the classes' numbers.

    A detector's are COCO's own ids where its classes are COCO's, else numbers from 1, as annotation tools count; of the
    other tasks the numbers of the classes, from 0, as label maps have them.
    """
    if task == 'detection':
        return [{'id': category['id'], 'name': category['name']} for category in coco_categories(classes)]
    return [{'id': number, 'name': name} for number, name in enumerate(classes)]


@singledispatch
def records_of(prediction: Prediction, categories: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is written of a prediction: a record for each object, each class of pixels, each of the likeliest classes.

    Args:
        prediction: For one image.
        categories: Of :func:`categories_of`.
    """
    raise TypeError(f'{type(prediction).__name__} is no prediction')


@records_of.register
def records_of_detections(prediction: Detections, categories: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """``bbox`` is left, top, width, height in pixels; ``segmentation`` a run-length encoded mask."""
    records = []
    for number, (label, score) in enumerate(zip(prediction.labels, prediction.scores, strict=True)):
        left, top, right, bottom = map(float, prediction.boxes[number])
        bbox = [left, top, right - left, bottom - top]
        record = {**named(label, categories), 'score': float(score), 'bbox': [round(value, 2) for value in bbox]}
        if prediction.masks is not None:
            record['segmentation'] = run_lengths(prediction.masks[number])
        records.append(record)
    return records


@records_of.register
def records_of_segmentation(prediction: Segmentation, categories: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """``segmentation`` is the run-length encoded mask of a class, ``area`` its number of pixels."""
    return [
        {
            **named(label, categories),
            'area': int(area),
            'segmentation': run_lengths(prediction.label_map == label),
        }
        for label, area in zip(prediction.labels, prediction.areas, strict=True)
    ]


@records_of.register
def records_of_classification(prediction: Classification, categories: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The likeliest class first."""
    likeliest = np.argsort(-prediction.scores, kind='stable')[:MOST_CLASSES]
    return [{**named(label, categories), 'score': float(prediction.scores[label])} for label in likeliest]


def named(label: int, categories: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The id and name of a class."""
    category = categories[label] if label < len(categories) else {'id': int(label), 'name': f'class {label}'}
    return {'category_id': category['id'], 'category_name': category['name']}


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """A mask (height, width) as COCO's format has it: ``size`` and compressed ``counts``.

    Raises:
        UserError: pycocotools is not installed.
    """
    try:
        from pycocotools import mask as coco_mask
    except ModuleNotFoundError:
        raise UserError("masks are written by pycocotools, not installed here: 'pip install pycocotools'") from None
    encoded = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {'size': list(mask.shape), 'counts': encoded['counts'].decode('ascii')}
