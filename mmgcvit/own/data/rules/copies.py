"""Rules for images that a dataset has more than once.

Images are the same if their files have the same bytes, whatever their names. A link to an image is
a copy of it.
"""

import hashlib
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial, singledispatch
from pathlib import Path

from ....datasets.decoding import MAX_THREADS
from ....datasets.rules.objects import make_object_key
from ....datasets.rules.rule import Finding, FolderEffect, Rule
from ....errors import UserError, shorten
from ....host.files import compute_sha256
from ..label_maps import read_labels
from ..object_records import LabelledImage, ObjectImage
from ..records import ClassImage, MapImage, Split
from ..series import find_divided
from .folder_rules import make_folder_note, make_folder_rule
from .origins import CORRECTED_ELSEWHERE

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


def hash_similar(paths: Sequence[Path], known: Mapping[Path, str]) -> dict[Path, str]:
    """Return the SHA-256 of each file that may be a copy, because another one has its size.

    A file whose size no other one has is not read: its value is its path. ``known`` has the SHA-256
    of files that were read before, by their paths without links.
    """
    sizes = {path: path.stat().st_size for path in paths}
    counts = Counter(sizes.values())
    similar = [path for path in sizes if counts[sizes[path]] > 1]
    hashes = {}
    if known:
        hashes = {path: known[path.resolve()] for path in similar if path.resolve() in known}
    unread = [path for path in similar if path not in hashes]
    with ThreadPoolExecutor(MAX_THREADS) as pool:
        hashes.update(zip(unread, pool.map(compute_sha256, unread), strict=True))
    return {path: hashes.get(path, str(path)) for path in paths}


@dataclass(frozen=True)
class ImageFile:
    """An image of a split, and the content of its file."""

    split: str  # the name of the split
    folder: Path  # to which its paths are relative
    index: int  # in the split
    image: LabelledImage
    content: str  # :func:`hash_similar`

    @property
    def path(self) -> Path:
        return self.folder / self.image.name


def list_files(splits: Mapping[str, Split], contents: Mapping[Path, str]) -> list[ImageFile]:
    """Return the images of all splits, with their contents (:func:`hash_similar`)."""
    return [
        ImageFile(name, split.image_folder, index, image, contents[path])
        for name, split in splits.items()
        for index, (image, path) in enumerate(zip(split.images, split.image_paths, strict=True))
    ]


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
    files = list_files(splits, contents)
    held_out = list_held_out(splits, contents)
    tested = {file.content for file in files if file.split == 'test'}
    found: dict[str, dict[int, Finding]] = {name: {} for name in splits}
    originals: dict[tuple[str, str], ImageFile] = {}  # by split and content
    # Those that somebody has labelled come first, otherwise the order stays.
    for file in sorted(files, key=lambda file: file.image.is_uncorrected):
        original = originals.setdefault((file.split, file.content), file)
        rule = None
        if file.split == 'train' and file.content in held_out:
            rule = SHARED_IMAGES
        elif file is not original:
            rule = choose_rule_of_copy(file, original, with_masks)
        elif file.split == 'val' and file.content in tested:
            rule = SHARED_HELD_OUT
        if rule:
            found[file.split][file.index] = Finding(rule, str(file.path))
    return found


def choose_rule_of_copy(file: ImageFile, original: ImageFile, with_masks: bool) -> Rule:
    """Return the rule that a copy of an image of the same split breaks.

    Masks are compared only ``with_masks``.
    """
    if file.image.is_uncorrected and not original.image.is_uncorrected:
        return CORRECTED_ELSEWHERE
    is_same = have_same_annotations(file, original, with_masks)
    return REPEATED_IMAGES if is_same else CONTRADICTIONS


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
    annotated = {name: split for name, split in splits.items() if any(split.list_classes())}
    first: dict[str, ImageFile] = {}  # the first image with a content
    found = []
    for file in list_files(annotated, contents):
        if file.image.is_uncorrected:
            continue  # somebody's labels may say something else
        original = first.setdefault(file.content, file)
        is_elsewhere = original.split != file.split
        if is_elsewhere and not have_same_annotations(file, original, with_masks):
            found.append(Finding(SHARED_CONTRADICTIONS, f'{original.path} and {file.path}'))
    return found


def have_same_annotations(file: ImageFile, other: ImageFile, with_masks: bool) -> bool:
    """Return whether two images of a dataset have the same annotations.

    Masks are compared only ``with_masks``.
    """
    keys = [make_annotation_key(each.image, each.folder, with_masks) for each in (file, other)]
    return keys[0] == keys[1]


@singledispatch
def make_annotation_key(image: LabelledImage, folder: Path, with_masks: bool) -> Hashable:
    """Return what is equal for images with the same annotations: their objects, their class, or the
    classes of their maps' pixels.

    ``folder`` is that to which the paths of the image are relative.
    """
    raise NotImplementedError(type(image))


@make_annotation_key.register
def _(image: ObjectImage, folder: Path, with_masks: bool) -> Hashable:
    return frozenset(make_object_key(each, with_masks) for each in image.objects)


@make_annotation_key.register
def _(image: ClassImage, folder: Path, with_masks: bool) -> Hashable:
    return image.class_name


@make_annotation_key.register
def _(image: MapImage, folder: Path, with_masks: bool) -> Hashable:
    # By classes: the maps of two folders may have other values for a class.
    labels = read_labels(folder / image.map_name, image.pixel_labels)
    return labels.shape, hashlib.sha256(labels.tobytes()).digest()
