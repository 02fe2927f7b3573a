"""Unite the datasets of several folders: ``train --data A --data B``.

Each folder was read by its own layout, and judged. Classes with the same name are one class. Where
names differ only in their spelling, the user is asked. The splits of the folders stay.
"""

import os
from collections.abc import Collection, Iterable, Sequence
from itertools import combinations
from pathlib import Path

from ...errors import UserError, shorten
from .object_records import AnySplit, ClassNames
from .records import DatasetInfo, Split
from .rules.classes import find_wrong_names
from .rules.findings import reject_broken
from .similar_names import KEEP, MERGE, find_similar

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

    Names that are similar are one class with ``MERGE``, called as in the first folder. A folder
    that has two of them means two classes, also in the other folders, whatever their order.

    Raise a UserError if names are similar and nothing says what they are, and if it is not clear
    which of several are one.
    """
    united = {name: name for dataset in datasets for name in dataset.classes}
    if similar_classes != KEEP:
        for group in group_similar(datasets):
            if similar_classes is None:
                raise UserError(ask_about(datasets, group))
            united |= dict.fromkeys(group, group[0])
    return [{name: united[name] for name in dataset.classes} for dataset in datasets]


def group_similar(datasets: Sequence[DatasetInfo]) -> list[list[str]]:
    """Return the groups of similar names of classes that no folder has together, each in the order
    of the folders.

    Raise a UserError if not all names of a group can be one class.
    """
    names = list(dict.fromkeys(name for dataset in datasets for name in dataset.classes))
    pairs = [pair for pair in find_similar(names) if find_with_both(datasets, pair) is None]
    group_of = {name: [name] for name in names}
    for first, second in pairs:
        if second not in group_of[first]:
            joined = sorted(group_of[first] + group_of[second], key=names.index)
            group_of |= dict.fromkeys(joined, joined)
    groups = [own for name, own in group_of.items() if len(own) > 1 and name == own[0]]
    for group in groups:
        check_clear(datasets, group, pairs)
    return groups


def find_with_both(datasets: Sequence[DatasetInfo], names: Iterable[str]) -> DatasetInfo | None:
    """Return the first dataset that has all of these classes, or None."""
    return next((each for each in datasets if set(names) <= set(each.classes)), None)


def find_folder(datasets: Sequence[DatasetInfo], name: str) -> str:
    """Return the first folder that has a class, as text."""
    return next(str(each.folder) for each in datasets if name in each.classes)


def check_clear(
    datasets: Sequence[DatasetInfo], group: Sequence[str], pairs: Collection[tuple[str, str]]
) -> None:
    """Raise a UserError unless each two names of a group may be one class: they are among
    ``pairs``.
    """
    for first, second in combinations(group, 2):
        if (first, second) in pairs:  # both are in the order of the folders
            continue
        both = find_with_both(datasets, (first, second))
        reason = f'{both.folder} has both' if both else 'their own names differ more'
        listed = [f'{name} ({find_folder(datasets, name)})' for name in group]
        raise UserError(
            f'the classes {shorten(listed)} have similar names, so they may be one class, but not '
            f'{first} and {second}: {reason}. Rename them, so that it is clear which are one, or add '
            f'--similar-classes {KEEP} if none are'
        )


def ask_about(datasets: Sequence[DatasetInfo], group: Sequence[str]) -> str:
    """Return the question whether classes with similar names are one class."""
    first, second = group[:2]
    return (
        f'{find_folder(datasets, first)} has the class {first}, and '
        f'{find_folder(datasets, second)} has {second}. Are they one class? Add '
        f'--similar-classes {MERGE} if similar names of all folders stand for one class, or '
        f'--similar-classes {KEEP} if they do not, or rename one of them'
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
