"""Rules for classes: names that differ, and images of each class in each split."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError, shorten
from ..records import OBJECT_TYPES, DatasetInfo
from .rule import Effect, Rule

CLASS_NAMES = Rule(
    'class names that are empty, have control characters, or are equal but for case, blanks or '
    'Unicode form',
    'Rename them',
    unit='file',
    in_folder=Effect.REJECTED,
    in_config=Effect.NONE,
)
MISSING_CLASSES = Rule(
    'classes that a split lacks, or that only one image has',
    'Add images of them',
    unit='file',
    in_folder=Effect.NOTED,
    in_config=Effect.NONE,
)


def check_class_names(folder: Path, classes: Sequence[str]) -> None:
    """Raise a UserError for :data:`CLASS_NAMES`.

    Such names are nearly always one class. macOS, for example, writes an umlaut as two characters.
    """
    seen = {}
    for name in classes:
        if any(unicodedata.category(character) == 'Cc' for character in name):
            raise UserError(f'{folder} has the class {name!r}, with control characters. Rename it')
        form = ' '.join(unicodedata.normalize('NFKC', name).casefold().split())
        if not form:
            raise UserError(f'{folder} has the classes {name!r}. Give each class a name')
        if form in seen:
            raise UserError(
                f'{folder} has the classes {seen[form]!r} and {name!r}, equal but for case, blanks '
                'or Unicode form. Give each class a name of its own'
            )
        seen[form] = name


def find_missing_classes(dataset: DatasetInfo) -> list[str]:
    """Return notes about classes that a split lacks, or that only one image has."""
    found = {name: set().union(*split.list_classes()) for name, split in dataset.splits.items()}
    what = 'an object of ' if dataset.annotation_types[0] in OBJECT_TYPES else ''
    untrained = [name for name in dataset.classes if name not in found['train']]
    notes = []
    if untrained:
        names = shorten(untrained, 8)
        notes.append(f'no training image has {what}{names}, so none will be found')
    counts = Counter(
        name for split in dataset.splits.values() for each in split.list_classes() for name in each
    )
    single = [name for name in dataset.classes if counts[name] == 1]
    if single:
        names = shorten(single, 8)
        notes.append(f'only one image has {what}{names}, so it is not both trained and scored')
    for split, classes in found.items():
        lacking = found['train'] - classes - set(single)
        unscored = [name for name in dataset.classes if name in lacking]
        is_scored = classes or split == 'val'  # test images without annotations are not
        if unscored and is_scored:
            names = shorten(unscored, 8)
            notes.append(
                f'no {split} image has {what}{names}, so the score says nothing about them'
            )
    return notes
