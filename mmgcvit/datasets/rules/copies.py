"""Rules for images that a dataset has more than once.

Images are the same if their files have the same bytes, whatever their names. A link to an image is
a copy of it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError, shorten
from ...files import compute_sha256
from ..label_maps import read_values
from ..records import ClassSplit, MapSplit, ObjectSplit, Split
from ..series import find_divided
from .images import MAX_THREADS
from .objects import make_object_key
from .origins import CORRECTED_ELSEWHERE
from .rule import Finding, FolderEffect, make_folder_note, make_folder_rule

SHARED_IMAGES = make_folder_rule(
    'training images that are also in validation or test (left out of training)',
    'Keep them in one split',
    in_folder=FolderEffect.DROPPED,
)
REPEATED_IMAGES = make_folder_rule(
    'images that a split has more than once (the first one is read)',
    'Keep the one with the right annotations',
    in_folder=FolderEffect.DROPPED,
)
CONTRADICTIONS = make_folder_rule(
    'images that a split has more than once, with other classes, boxes, masks or maps (the first '
    'one is read)',
    'List all objects of an image with one entry, and give a photo one class',
)
SHARED_HELD_OUT = make_folder_note(
    'validation images that are also in test', 'Keep them in one split'
)
SHARED_CONTRADICTIONS = make_folder_note(
    'images that two splits have, with other classes, boxes, masks or maps in each',
    'Correct the wrong annotations, and keep the image in one split',
)
# What the hold-out keeps together, in the splits that a dataset has:
make_divided_rule = partial(
    make_folder_note,
    remedy='Scores may be too high. Keep these images in one split, or remove the split: without '
    'val, a fifth of train is held out in this way',
)
DIVIDED_COPIES = make_divided_rule(
    'images whose names (.rf.) say that they are augmented copies of training images'
)
DIVIDED_TILES = make_divided_rule(
    'images whose names say that they are tiles of pictures that training has other tiles of'
)
# Cameras number single photos as they do those of a burst, and videos' frames are numbered alike.
DIVIDED_FRAMES = make_folder_note(
    'images that are numbered in one series with training images',
    'If they are frames of a video, or photos of one scene, scores are too high. Then keep these '
    'images in one split, or remove the split: without val, a fifth of train is held out in '
    'this way',
)
DIVIDED = {'copies': DIVIDED_COPIES, 'tiles': DIVIDED_TILES, 'frames': DIVIDED_FRAMES}


def hash_similar(paths: Sequence[Path]) -> dict[Path, str]:
    """Return the SHA-256 of each file that may be a copy, because another one has its size.

    A file whose size no other one has is not read: its value is its path.
    """
    sizes = {path: path.stat().st_size for path in paths}
    counts = Counter(sizes.values())
    similar = [path for path in sizes if counts[sizes[path]] > 1]
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        hashes = zip(similar, pool.map(compute_sha256, similar), strict=True)
        return {path: str(path) for path in paths} | dict(hashes)


def list_held_out(splits: Mapping[str, Split], contents: Mapping[Path, str]) -> set[str]:
    """Return the contents of the images in validation and test."""
    return {
        contents[path]
        for name, split in splits.items()
        if name != 'train'
        for path in split.image_paths
    }


def check_training_differs(
    place: str, splits: Mapping[str, Split], contents: Mapping[Path, str]
) -> None:
    """Raise a UserError if all training images are also in another split.

    Args:
        place: The dataset's folders, for messages.
        splits: The splits of the dataset.
        contents: The content of each image (:func:`hash_similar`).
    """
    train = splits['train']
    held_out = list_held_out(splits, contents)
    if train.images and all(contents[path] in held_out for path in train.image_paths):
        raise UserError(
            f'{place}: all training images are also in validation or test '
            f'({shorten(train.image_names)}). Put other images into one of the splits, or remove '
            'val: then a fifth of train is held out for it'
        )


def find_copies(
    splits: Mapping[str, Split], contents: Mapping[Path, str], with_masks: bool
) -> dict[str, dict[int, Finding]]:
    """Return the copies of images, by split and by their indices.

    Training should not have the images of other splits. Of the same images in one split, the first
    one is not a copy; if their labels are uncorrected, the first one of the others.

    Args:
        splits: The splits of the dataset.
        contents: The content of each image (:func:`hash_similar`).
        with_masks: Whether masks are trained. If so, they are compared too.
    """
    held_out = list_held_out(splits, contents)
    tested = {contents[path] for path in splits['test'].image_paths} if 'test' in splits else set()
    found = {}
    for name, split in splits.items():
        found[name] = {}
        first = {}  # the index of the first image with a content
        paths = split.image_paths
        images = split.images
        for index in sorted(range(len(paths)), key=lambda index: images[index].is_uncorrected):
            path = paths[index]
            content = contents[path]
            original = first.setdefault(content, index)
            rule = None
            if name == 'train' and content in held_out:
                rule = SHARED_IMAGES
            elif images[index].is_uncorrected and not images[original].is_uncorrected:
                rule = CORRECTED_ELSEWHERE
            elif original != index:
                is_same = have_same_annotations(split, original, index, with_masks=with_masks)
                rule = REPEATED_IMAGES if is_same else CONTRADICTIONS
            elif name == 'val' and content in tested:
                rule = SHARED_HELD_OUT
            if rule:
                found[name][index] = Finding(rule, str(path))
    return found


def find_divided_series(splits: Mapping[str, Split]) -> list[Finding]:
    """Return what the hold-out would keep together (:func:`.find_divided`), and a dataset's own
    splits divide between training and another one.
    """
    found = []
    for name, split in splits.items():
        if name == 'train':
            continue
        for divided in find_divided(splits, name):
            rule = DIVIDED[divided.kind]
            example, trained = map(str, divided.example)
            message = (
                f'{rule.problem}: {len(divided.images)} of {len(split.images)} in {name}, for '
                f'example {example}, as {trained}. {rule.remedy}'
            )
            found.append(Finding(rule, example, message))
    return found


def find_contradicting_splits(
    splits: Mapping[str, Split], contents: Mapping[Path, str], with_masks: bool
) -> list[Finding]:
    """Return the images that are also in another split, with other annotations there.

    Arguments are those of :func:`find_copies`. Test images without annotations say nothing.
    """
    first: dict[str, tuple[Split, int]] = {}  # the first image with a content
    found = []
    for split in splits.values():
        annotated = split.list_classes()
        if not any(annotated):
            continue
        for index, path in enumerate(split.image_paths):
            if split.images[index].is_uncorrected:
                continue  # somebody's labels may say something else
            original, original_index = first.setdefault(contents[path], (split, index))
            if original is split:
                continue
            if not have_same_annotations(
                original, original_index, index, with_masks=with_masks, other=split
            ):
                found.append(
                    Finding(
                        SHARED_CONTRADICTIONS, f'{original.image_paths[original_index]} and {path}'
                    )
                )
    return found


def have_same_annotations(
    split: Split, first: int, second: int, *, with_masks: bool, other: Split | None = None
) -> bool:
    """Return whether two images, given by their indices, have the same annotations.

    The first one is of ``split``, the second one of ``other``, by default of ``split`` too.
    """
    other = other or split
    if isinstance(split, ClassSplit) and isinstance(other, ClassSplit):
        return split.images[first].class_name == other.images[second].class_name
    if isinstance(split, MapSplit) and isinstance(other, MapSplit):
        return np.array_equal(read_map(split, first), read_map(other, second))
    if isinstance(split, ObjectSplit) and isinstance(other, ObjectSplit):
        objects = {make_object_key(each, with_masks) for each in split.images[first].objects}
        return objects == {
            make_object_key(each, with_masks) for each in other.images[second].objects
        }
    return False


def read_map(split: MapSplit, index: int) -> NDArray[np.integer]:
    """Return the values of the pixels in the map of an image, given by its index."""
    image = split.images[index]
    return read_values(split.image_folder / image.map_name, image.pixel_labels.are_colours)
