"""The entries of a file in COCO's format: images, annotations and categories, each with all its keys."""

from collections.abc import Mapping, Sequence
from typing import Any

from .problems import Kind, Outcome, Report

KEYS = {
    'images': ('id', 'file_name', 'height', 'width'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
    'categories': ('id', 'name'),
}
# What the computation of scores asks for besides.
SCORED_KEYS = ('iscrowd',)
# What an id may be; classes that are compared exactly, because there are millions of ids.
ID = (int, float, str)
# By what entries are told from each other and refer to each other.
IDENTIFYING = {
    'images': {'id': ID, 'file_name': (str,)},
    'annotations': {'id': ID, 'image_id': ID, 'category_id': ID},
    'categories': {'id': ID, 'name': (str,)},
}
NO_ID = Kind('ids that are neither numbers nor text, or names that are no text', Outcome.STOPS, 'correct them')
NO_COCO = Kind(
    "no annotation file in COCO's format", Outcome.STOPS, 'it must hold lists of images, annotations, categories'
)
LACKING = Kind('entries that lack a key', Outcome.STOPS, 'add what is missing')


def entries_of(
    place: str, content: Mapping[str, Any], is_scored: bool, report: Report
) -> tuple[list[dict], list[dict], list[dict]] | None:
    """Images, annotations and categories that have all keys; None where they say too little."""
    missing = [name for name in KEYS if not isinstance(content.get(name), list)]
    if is_scored and missing == ['annotations']:
        report.note(f'{place} has no annotations: there is nothing to score against')
        content, missing = {**content, 'annotations': []}, []
    if missing:
        report.add(NO_COCO, place, [f'no {name}' for name in missing])
        return None
    whole = {}
    for name, keys in KEYS.items():
        asked = keys + SCORED_KEYS if is_scored and name == 'annotations' else keys
        whole[name] = with_keys(place, name, content[name], asked, report)
    odd = sum(count_odd_names(place, name, entries, report) for name, entries in whole.items())
    if odd or any(len(whole[name]) < len(content[name]) for name in ('images', 'categories')):
        # What annotations refer to would seem to be missing.
        return None
    return tuple(whole.values())


def with_keys(
    place: str, name: str, entries: Sequence[Any], keys: Sequence[str], report: Report
) -> list[dict[str, Any]]:
    """The entries that are dicts and have all keys."""
    asked = frozenset(keys)
    whole = [entry for entry in entries if isinstance(entry, dict) and asked <= entry.keys()]
    if len(whole) < len(entries):
        lacking = [
            lack(name, number, entry, asked)
            for number, entry in enumerate(entries)
            if not isinstance(entry, dict) or not asked <= entry.keys()
        ]
        report.add(LACKING, place, lacking)
    return whole


def count_odd_names(place: str, name: str, entries: Sequence[Mapping[str, Any]], report: Report) -> int:
    """How many ids and names, by which entries are told from each other, can be none; they are reported."""
    odd = [
        f'{name}[{number}] {key} {entry[key]!r}'
        for key, allowed in IDENTIFYING[name].items()
        for number, entry in enumerate(entries)
        if type(entry[key]) not in allowed
    ]
    if odd:
        report.add(NO_ID, place, odd)
    return len(odd)


def lack(name: str, number: int, entry: Any, keys: frozenset[str]) -> str:
    """What an entry lacks, in words."""
    if not isinstance(entry, dict):
        return f'{name}[{number}] is no object'
    missing = ' and '.join(repr(key) for key in sorted(keys - entry.keys()))
    return f'{name}[{number}] (id {entry.get("id")}) has no {missing}'
