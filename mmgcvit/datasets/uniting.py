"""Unite the datasets of several folders: ``train --data A --data B``.

Each folder was read by its own layout, and judged. Classes with the same name are one class. Where
names differ only in their spelling, the user is asked. The splits of the folders stay.
"""

import os
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from ..errors import UserError, shorten
from .records import AnySplit, ClassNames, DatasetInfo, Split
from .rules.classes import find_wrong_names
from .rules.rule import reject_broken
from .similar_names import KEEP, MERGE, are_similar

# Options of ``--task`` for annotation types that folders may have in common
TASKS = {'boxes': 'detect', 'masks': 'segment'}


def check_different(folders: Sequence[Path]) -> None:
    """Raise a UserError if a folder is given twice, also by a link, or is in another one."""
    for first, second in combinations(folders, 2):
        if second.samefile(first):
            raise UserError(
                f'--data {first} and --data {second} are one folder. Remove one of them'
            )
        for inner, outer in ((first, second), (second, first)):
            if inner.resolve().is_relative_to(outer.resolve()):
                raise UserError(
                    f'--data {inner} is in --data {outer}, so its images would be read twice. Move '
                    'it out, or remove one of them'
                )


def unite(datasets: Sequence[DatasetInfo], similar_classes: str | None = None) -> DatasetInfo:
    """Return the datasets of several folders as one. A single one is returned as it is.

    The names of images become relative to the nearest folder that has all of them, so equal names
    in two folders stay different.

    Args:
        datasets: The datasets, whose annotation types are equal.
        similar_classes: A key of :data:`.similar_names.ANSWERS`, or None to ask about similar
            names.

    Raises:
        UserError: They are for other tasks, or have similar class names.
    """
    if len(datasets) == 1:
        return datasets[0]
    check_same_types(datasets)
    check_named(datasets)
    names = unite_classes(datasets, similar_classes)
    classes = tuple(dict.fromkeys(name for own in names for name in own.values()))
    place = ' and '.join(str(dataset.folder) for dataset in datasets)
    reject_broken(find_wrong_names(place, classes))
    root = Path(os.path.commonpath([dataset.folder.resolve() for dataset in datasets]))
    splits: dict[str, Split] = {}
    for split_name in ('train', 'val', 'test'):
        parts = [
            (dataset.splits[split_name], own)
            for dataset, own in zip(datasets, names, strict=True)
            if split_name in dataset.splits
        ]
        if parts:
            splits[split_name] = unite_splits(root, classes, parts)
    return DatasetInfo(
        folder=root,
        format=' and '.join(dict.fromkeys(dataset.format for dataset in datasets)),
        annotation_types=datasets[0].annotation_types,
        classes=classes,
        splits=splits,
        notes=[*list_notes(datasets), *describe_splits(datasets), *describe_classes(names)],
        models=[*dict.fromkeys(model for dataset in datasets for model in dataset.models)],
        digests={path: each for dataset in datasets for path, each in dataset.digests.items()},
        united=[dataset.folder for dataset in datasets],
    )


def check_same_types(datasets: Sequence[DatasetInfo]) -> None:
    """Raise a UserError unless all datasets have the same annotation types."""
    first, *others = datasets
    for other in others:
        if other.annotation_types == first.annotation_types:
            continue
        common = [kind for kind in first.annotation_types if kind in other.annotation_types]
        advice = 'Train each on its own'
        if common:
            advice = f'Add --task {TASKS[common[0]]}, which both have, or train each on its own'
        raise UserError(
            f'{first.folder} is for training on {describe_types(first)}, and {other.folder} on '
            f'{describe_types(other)}, so they cannot be united. {advice}'
        )


def describe_types(dataset: DatasetInfo) -> str:
    """Return what a dataset is for, such as 'masks or boxes (COCO (JSON))'."""
    return f'{" or ".join(dataset.annotation_types)} ({dataset.format})'


def check_named(datasets: Sequence[DatasetInfo]) -> None:
    """Raise a UserError if the classes of a folder have no names by which to unite them."""
    for dataset in datasets:
        if not dataset.has_class_names:
            raise UserError(
                f'the classes of {dataset.folder} have no names, so they cannot be united with '
                'those of the other folder. Write classes.txt with a name on each line'
            )


def unite_classes(datasets: Sequence[DatasetInfo], similar_classes: str | None) -> list[ClassNames]:
    """Return the name in the united dataset of each class, for each dataset.

    Raise a UserError if names of two folders are similar, and nothing says what they are, and if
    two classes of one folder would become one.
    """
    known: dict[str, str] = {}  # the folder that has a class first
    united: list[ClassNames] = []
    for dataset in datasets:
        names = {}
        for name in dataset.classes:
            names[name] = name
            if name in known:
                continue
            # A folder that has both spellings means two classes.
            similar = [
                other
                for other in known
                if are_similar(name, other) and other not in dataset.classes
            ]
            if not similar or similar_classes == KEEP:
                continue
            first = similar[0]
            if similar_classes is None or len(similar) > 1:
                raise UserError(ask_about(similar, known[first], name, str(dataset.folder)))
            merged = [own for own in dataset.classes if names.get(own) == first]
            if merged:
                raise UserError(
                    f'{dataset.folder} has the classes {merged[0]} and {name}, which both are '
                    f'similar to {first} of {known[first]}, and would become one class. Rename one '
                    'of them'
                )
            names[name] = first
        united.append(names)
        for name in names.values():
            known.setdefault(name, str(dataset.folder))
    return united


def ask_about(similar: Sequence[str], folder: str, name: str, other_folder: str) -> str:
    """Return the question whether classes with similar names are one class."""
    text = f'{folder} has the class {shorten(similar)}, and {other_folder} has {name}. '
    if len(similar) > 1:
        return f'{text}It is not clear which of them {name} is. Rename it'
    return (
        f'{text}Are they one class? Add --similar-classes {MERGE} if similar names of all folders '
        f'stand for one class, or --similar-classes {KEEP} if they do not, or rename one of them'
    )


def unite_splits(
    root: Path, classes: Sequence[str], parts: Sequence[tuple[AnySplit, ClassNames]]
) -> AnySplit:
    """Return a split with the images of several ones.

    Args:
        root: The folder to which names become relative.
        classes: All classes of the united dataset.
        parts: The splits, all of one type, each with the names of its classes.
    """
    first, *others = [
        split.name_series().move(root).rename_classes(names, classes) for split, names in parts
    ]
    return first.join(others)


def list_notes(datasets: Sequence[DatasetInfo]) -> list[str]:
    """Return what is in each folder, and its notes, with its name where they don't say it."""
    notes = []
    for dataset in datasets:
        name = str(dataset.folder)
        notes.append(dataset.describe())
        notes += [note if name in note else f'{name}: {note}' for note in dataset.notes]
    return notes


def describe_splits(datasets: Sequence[DatasetInfo]) -> list[str]:
    """Return notes on the folders without a split that others have."""
    notes = []
    for split_name in ('val', 'test'):
        having = [str(each.folder) for each in datasets if split_name in each.splits]
        lacking = [str(each.folder) for each in datasets if split_name not in each.splits]
        if having and lacking:
            notes.append(f'{split_name} is that of {shorten(having)}: {shorten(lacking)} has none')
    return notes


def describe_classes(names: Sequence[ClassNames]) -> list[str]:
    """Return a note on the classes that were united under another name."""
    renamed = [f'{old} as {new}' for own in names for old, new in own.items() if old != new]
    return [f'read as one class: {shorten(renamed)}'] if renamed else []
