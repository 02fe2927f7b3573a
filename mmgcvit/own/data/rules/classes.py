"""Rules for classes: names that differ, and images of each class in each split."""

import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ....datasets.rules.rule import Finding, FolderEffect
from ....errors import format_count, shorten
from ..records import DatasetInfo
from .folder_rules import make_folder_note, make_folder_rule

CLASS_NAMES = make_folder_rule(
    'class names that are empty, have control characters, or are equal but for case, blanks or '
    'Unicode form',
    'Rename them',
    in_folder=FolderEffect.REJECTED,
)
MISSING_CLASSES = make_folder_note(
    'classes that a split lacks, or that only one image has', 'Add images of them'
)
FEW_SCORED = make_folder_note(
    'validation and test splits of few images, or with few objects of a class, so that their '
    'scores are rough',
    'Add some',
)
# What is few: images in a split, and objects of a class (of class folders and maps, images with it)
MIN_SCORED_IMAGES = 20
MIN_SCORED_OBJECTS = 5


def find_wrong_names(place: Path | str, classes: Sequence[str]) -> list[Finding]:
    """Return the class names that break :data:`CLASS_NAMES`.

    Names that are equal but for case, blanks or Unicode form are nearly always one class. macOS,
    for example, writes an umlaut as two characters. ``place`` is the dataset's folder, for
    messages.
    """
    found = []
    seen = {}
    for name in classes:
        form = ' '.join(unicodedata.normalize('NFKC', name).casefold().split())
        message = ''
        if not form or any(unicodedata.category(character) == 'Cc' for character in name):
            message = f'{place} has the class {name!r}, with control characters or empty. Rename it'
        elif form in seen:
            message = (
                f'{place} has the classes {seen[form]!r} and {name!r}, equal but for case, blanks '
                'or Unicode form. Give each class a name of its own'
            )
        if message:
            found.append(Finding(CLASS_NAMES, repr(name), message))
        seen.setdefault(form, name)
    return found


def find_missing_classes(dataset: DatasetInfo) -> list[Finding]:
    """Return the classes that break :data:`MISSING_CLASSES`: a split lacks them, or only one image
    has them.
    """
    what = 'an object of ' if dataset.object_splits else ''
    found = {  # in how many images of each split each class is
        split_name: Counter(name for names in split.list_classes() for name in names)
        for split_name, split in dataset.splits.items()
    }
    counts = sum(found.values(), Counter())
    untrained = [name for name in dataset.classes if name not in found['train']]
    single = [name for name in dataset.classes if counts[name] == 1]
    missing = [
        ('no training image has', untrained, 'none will be found'),
        ('only one image has', single, 'it is not both trained and scored'),
    ]
    for split_name, scored in found.items():
        # Test images without annotations are not scored.
        if split_name == 'val' or (split_name == 'test' and scored):
            known = [*untrained, *single, *scored]
            unscored = [name for name in dataset.classes if name not in known]
            effect = 'the score says nothing about them'
            missing.append((f'no {split_name} image has', unscored, effect))
    findings = []
    for start, names, effect in missing:
        if names:
            listed = shorten(names, 8)
            message = f'{start} {what}{listed}, so {effect}'
            findings.append(Finding(MISSING_CLASSES, listed, message))
    return findings


def find_few_scored(dataset: DatasetInfo) -> list[Finding]:
    """Return the splits that break :data:`FEW_SCORED`. Classes that a split lacks break
    :data:`MISSING_CLASSES`.
    """
    unit = 'object' if dataset.object_splits else 'image'
    findings = []
    for name, split in dataset.splits.items():
        counts = split.count_classes()
        if name == 'train' or not counts:  # test images without annotations are not scored
            continue
        number = len(split.images)
        few = [
            f'{class_name} ({format_count(counts[class_name], unit)})'
            for class_name in dataset.classes
            if 0 < counts[class_name] < MIN_SCORED_OBJECTS
        ]
        parts = []
        if number < MIN_SCORED_IMAGES:
            parts.append(f'only {format_count(number, "image")}')
        if few:
            parts.append(f'few {unit}s of {shorten(few, 8)}')
        if parts:
            message = f'{name} has {" and ".join(parts)}, so its scores are rough. Add some'
            findings.append(Finding(FEW_SCORED, name, message, name))
    return findings
