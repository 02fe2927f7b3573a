"""Unite the datasets of several folders: ``train --data A --data B``.

Each folder was read by its own layout, and judged. Classes with the same name are one class. Where
names differ only in their spelling, the user is asked. The splits of the folders stay.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path, PurePath

from ..errors import UserError, shorten
from .label_maps import IGNORE_INDEX, PixelLabels
from .records import (
    Category,
    ClassImage,
    ClassSplit,
    DatasetInfo,
    LabelledImage,
    MapImage,
    MapSplit,
    ObjectImage,
    ObjectSplit,
    Split,
    make_coco_categories,
)
from .rules.classes import find_wrong_names
from .rules.rule import reject_broken
from .similar_names import KEEP, MERGE, are_similar

# Options of ``--task`` for annotation types that folders may have in common
TASKS = {'boxes': 'detect', 'masks': 'segment'}

ClassNames = Mapping[str, str]  # the name of a class in the united dataset, by that in a folder


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
    root: Path, classes: Sequence[str], parts: Sequence[tuple[Split, ClassNames]]
) -> Split:
    """Return a split with the images of several ones.

    Args:
        root: The folder to which names become relative.
        classes: All classes of the united dataset.
        parts: The splits, all of one type, each with the names of its classes.
    """
    images: list[LabelledImage] = []
    for split, names in parts:
        series = list_series_names(split)
        for index, image in enumerate(split.images):
            placed = replace(
                image,
                name=make_relative(split.image_folder / image.name, root),
                series_name=series[index],
            )
            images.append(rename_classes(placed, split.image_folder, root, names, classes))
    first, _ = parts[0]
    if isinstance(first, ObjectSplit):
        categories = [
            Category(entry['id'], entry['name']) for entry in make_coco_categories(classes)
        ]
        return ObjectSplit(root, number_images(images), categories)
    if isinstance(first, ClassSplit):
        return ClassSplit(root, [image for image in images if isinstance(image, ClassImage)])
    return MapSplit(root, [image for image in images if isinstance(image, MapImage)])


def make_relative(path: Path, root: Path) -> str:
    """Return a path relative to a folder or, if it is elsewhere (by a link), absolute."""
    return str(path.relative_to(root) if path.is_relative_to(root) else path)


def list_series_names(split: Split) -> list[str]:
    """Return the paths of images by which series are found across folders.

    The folders that a layout asks for, such as images/train, differ from one folder to the next.
    Those in which images are sorted, such as one for each camera, stay.
    """
    if isinstance(split, ClassSplit):
        return [str(PurePath(image.class_name, Path(image.name).name)) for image in split.images]
    parents = {Path(image.name).parent for image in split.images}
    common = os.path.commonpath(parents) if parents else ''
    return [os.path.relpath(image.name, common or '.') for image in split.images]


def rename_classes(
    image: LabelledImage, folder: Path, root: Path, names: ClassNames, classes: Sequence[str]
) -> LabelledImage:
    """Return an image with the names and indices that its classes have in the united dataset.

    ``folder`` is that to which the path of its map is relative so far.
    """
    if isinstance(image, ObjectImage):
        objects = [replace(each, class_name=names[each.class_name]) for each in image.objects]
        return replace(image, objects=objects)
    if isinstance(image, ClassImage):
        name = names[image.class_name]
        return replace(image, class_name=name, label=classes.index(name))
    assert isinstance(image, MapImage)
    own = [*names.values()]  # in the order of the folder's class indices
    by_value = {
        value: label if label == IGNORE_INDEX else classes.index(own[label])
        for value, label in image.pixel_labels.by_value.items()
        if label == IGNORE_INDEX or label < len(own)
    }
    return replace(
        image,
        map_name=make_relative(folder / image.map_name, root),
        classes=frozenset(names[name] for name in image.classes),
        pixel_labels=PixelLabels(by_value, image.pixel_labels.are_colours),
    )


def number_images(images: Sequence[LabelledImage]) -> list[ObjectImage]:
    """Return images and objects with ids from 1 on."""
    numbered = []
    num_objects = 0
    for image_id, image in enumerate(images, start=1):
        assert isinstance(image, ObjectImage)
        objects = []
        for each in image.objects:
            num_objects += 1
            objects.append(replace(each, id=num_objects))
        numbered.append(replace(image, id=image_id, objects=objects))
    return numbered


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
