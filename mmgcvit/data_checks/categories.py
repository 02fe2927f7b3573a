"""Categories of a file in COCO's format against the classes of a config, and annotations against both."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .problems import Kind, Outcome, Report

NO_SUCH_CATEGORY = Kind(
    'has no category of the name of a class', Outcome.STOPS, 'spell metainfo.classes and the categories alike'
)
OTHER_ORDER = Kind(
    'categories in another order than the classes of the config',
    Outcome.STOPS,
    "sort metainfo.classes as the file's categories: hosts number labels by the file, and names would be swapped",
)
UNKNOWN_CATEGORY = Kind(
    'annotations of categories that the file does not list', Outcome.STOPS, 'list them under categories'
)
OTHER_CATEGORY = Kind(
    'annotations of categories that are no classes of the config', Outcome.LEFT_OUT, 'name them under metainfo.classes'
)
# Of categories in a complaint.
MOST_NAMES = 20


def check_categories(
    place: str, categories: Sequence[Mapping[str, Any]], classes: Sequence[str] | None, report: Report
) -> None:
    """Compare the file's categories with the config's classes: hosts label objects by the order in the file."""
    if not classes:
        return
    names = [category['name'] for category in categories]
    absent = [name for name in classes if name not in names]
    if absent:
        has = ', '.join(map(repr, names[:MOST_NAMES])) + (', ...' if len(names) > MOST_NAMES else '')
        report.add(NO_SUCH_CATEGORY, place, [f'{absent[0]!r} (it has: {has})', *map(repr, absent[1:])])
        return
    common = [name for name in names if name in classes]
    # Of different lengths where names are used twice, which is reported as such.
    pairs = zip(common, classes, strict=False)
    wrong = [f'{name!r} would be called {called!r}' for name, called in pairs if name != called]
    if wrong:
        report.add(OTHER_ORDER, place, wrong)


def check_references(
    place: str,
    annotations: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
    classes: Sequence[str] | None,
    report: Report,
) -> NDArray[np.bool_]:
    """Whether each annotation's category is a class of the config, (annotations,)."""
    name_of = {category['id']: category['name'] for category in categories}
    classes = set(classes or name_of.values())
    named = [name_of.get(annotation['category_id']) for annotation in annotations]
    is_known = np.array([name is not None for name in named], dtype=bool)
    is_class = np.array([name in classes for name in named], dtype=bool)
    for kind, concerned in ((UNKNOWN_CATEGORY, ~is_known), (OTHER_CATEGORY, is_known & ~is_class)):
        found = [annotations[number] for number in np.flatnonzero(concerned)]
        if found:
            report.add(kind, place, [f'annotation {entry["id"]} of category {entry["category_id"]}' for entry in found])
    return is_class
