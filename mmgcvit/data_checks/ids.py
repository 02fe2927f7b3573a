"""Ids of a file in COCO's format: each is used once, and bears what scores do with it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from reprlib import repr as brief
from typing import Any

import numpy as np

from .numbers import as_numbers
from .problems import Kind, Outcome, Report

SAME_ID = Kind('ids that are used twice', Outcome.STOPS, 'give each entry an id of its own')
# pycocotools notes in an array, at first of zeros, which annotation each detection matches.
ZERO_ID = Kind(
    'annotations of id 0 in a set that is scored',
    Outcome.STOPS,
    'number annotations from 1: pycocotools takes an object of id 0 that was found for one that was not',
)
NO_NUMBER = Kind(
    'annotation ids that are no finite numbers, in a set that is scored',
    Outcome.STOPS,
    'number annotations from 1: pycocotools writes their ids into arrays of numbers',
)
# pycocotools sorts them, and looks annotations up by what NumPy makes of them.
MIXED = Kind(
    'ids that are text beside numbers, or numbers beside text, in a set that is scored',
    Outcome.STOPS,
    'write all in the same way: pycocotools sorts them',
)
CHANGED = Kind(
    'ids that NumPy rounds or cuts, in a set that is scored',
    Outcome.STOPS,
    'use whole numbers below 2**53: pycocotools would not find what belongs to these',
)


def check_ids(place: str, name: str, entries: Sequence[Mapping[str, Any]], report: Report) -> None:
    """Report ids, and of categories names, that more than one entry has."""
    for key in ('id', 'name') if name == 'categories' else ('id',):
        values = [entry[key] for entry in entries]
        if len(set(values)) < len(values):
            twice = [f'{name} {key} {value}' for value, number in Counter(values).items() if number > 1]
            report.add(SAME_ID, place, twice)


def check_scored_ids(place: str, name: str, entries: Sequence[Mapping[str, Any]], report: Report) -> None:
    """Report ids by which pycocotools computes no scores, or wrong ones."""
    ids = [entry['id'] for entry in entries]
    found = unfit_as_matches(ids) if name == 'annotations' else unfit_to_look_up(ids)
    for kind, concerned in found.items():
        if concerned:
            report.add(kind, place, [f'{name} id {brief(value)}' for value in concerned])


def unfit_as_matches(ids: Sequence[Any]) -> dict[Kind, list[Any]]:
    """Ids that cannot stand in an array of matches in which zero means none."""
    numbers = as_numbers(ids, 1)[:, 0]
    return {
        ZERO_ID: [ids[number] for number in np.flatnonzero(numbers == 0)],
        NO_NUMBER: [ids[number] for number in np.flatnonzero(~np.isfinite(numbers))],
    }


def unfit_to_look_up(ids: Sequence[Any]) -> dict[Kind, list[Any]]:
    """Ids that cannot be sorted, the fewer of text and numbers, and those that an array does not give back."""
    texts = [value for value in ids if isinstance(value, str)]
    numbers = [value for value in ids if not isinstance(value, str)]
    if texts and numbers:
        return {MIXED: min(texts, numbers, key=len)}
    given_back = set(np.unique(ids).tolist())
    return {CHANGED: [value for value in ids if value not in given_back]}
