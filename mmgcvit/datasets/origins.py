"""Recognise labels that a model made and nobody has corrected.

``mmgcvit predict --labels`` writes :data:`MARK` beside the labels. It has the model, and for each
picture what was written. Labels are uncorrected if they still say the same: the same classes, and
boxes and masks that differ by no more than tools round them. Bytes and times of files don't count,
since tools write their files anew. Who looked at a picture and found its labels right names it in
:data:`CORRECTED`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError, format_count, shorten
from ..files import compute_sha256, normalise, read_text
from ..tasks import TASK_BY_NAME
from ..thresholds import ScoreThresholds, parse_thresholds
from .annotations import Box, Edges, JsonObject, LabelledObject, Polygon, Size, Unusable
from .folders import CORRECTED, MARK
from .label_maps import read_labels
from .outlines import are_near, are_within_a_pixel
from .records import (
    AnySplit,
    ClassImage,
    ClassSplit,
    DatasetInfo,
    MapImage,
    MapSplit,
    ObjectImage,
    ObjectSplit,
    Split,
)
from .rules.objects import measure_mask
from .series import COPY_ENDING, UPLOAD_PREFIX

MAKER = 'mmgcvit '  # with which the value of ``made_by`` begins
ALL_PICTURES = '*'  # a line of CORRECTED
# By how many pixels an edge of a box, and the outline of a mask, may differ. Tools round
# coordinates, Pascal VOC to whole pixels.
TOLERANCE = 1.0
# A mask is written as polygons up to a pixel from its outline. A tool may compute the box of them.
BOX_OF_MASK_TOLERANCE = 2 * TOLERANCE
# The type of the splits that a folder of labels for a task has
SPLIT_TYPES: Mapping[str, type[Split]] = {
    'detection': ObjectSplit,
    'segmentation': MapSplit,
    'classification': ClassSplit,
}


@dataclass(frozen=True)
class WrittenPicture:
    """What was written for a picture."""

    sha256: str  # of the picture
    size: Size  # (width, height)
    labels: Sequence[JsonObject]  # a record for each object, or each class of the picture


@dataclass(frozen=True)
class Origin:
    """The model that made the labels of a folder, and what it wrote."""

    file: Path
    task: str  # a key of TASK_BY_NAME
    classes: tuple[str, ...]  # that the model has
    checkpoint: str
    sha256: str | None  # of the checkpoint, if it is a file
    thresholds: ScoreThresholds | None  # of a detector
    pictures: Mapping[str, WrittenPicture]  # by the name of their file
    corrected: frozenset[str]  # the names of pictures whose labels somebody found right

    def __str__(self) -> str:
        text = self.checkpoint
        if self.sha256:
            text += f' (SHA-256 {self.sha256[:12]}...)'
        if self.thresholds:
            text += f', confidence threshold {self.thresholds}'
        return text


def make_stem(name: str) -> str:
    """Return what is equal in the names of a picture in all folders and on all disks: not the
    suffix, the case and the Unicode form.
    """
    return normalise(Path(name).stem).casefold()


def remove_additions(name: str) -> str:
    """Return a stem without what Label Studio puts before it and Roboflow behind it."""
    return COPY_ENDING.sub('', UPLOAD_PREFIX.sub('', normalise(Path(name).name))).casefold()


def hash_mask(mask: NDArray[np.bool_]) -> str:
    """Return the SHA-256 of a mask (height, width)."""
    packed = np.packbits(mask).tobytes()
    return hashlib.sha256(repr(mask.shape).encode() + packed).hexdigest()


def read_origin(folder: Path) -> Origin | None:
    """Return what :data:`MARK` and :data:`CORRECTED` in a folder say, or None without a MARK.

    Raise a UserError if one of them is damaged: without it, a model's labels would count as those
    of somebody.
    """
    file = folder / MARK
    if not file.is_file():
        return None
    try:
        origin = parse_origin(file, json.loads(read_text(file)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'{file} is damaged. Restore it: predict --labels writes it, and it says which labels '
            'a model made. If somebody has made all labels of the folder, remove it'
        ) from error
    return replace(origin, corrected=read_corrected(folder / CORRECTED, origin))


def parse_origin(file: Path, content: Mapping[str, Any]) -> Origin:
    """Return what a mark says. Raise a ValueError, KeyError, TypeError or AttributeError for other
    contents.
    """
    task = content['task']
    if not content['made_by'].startswith(MAKER) or task not in TASK_BY_NAME:
        raise ValueError
    pictures = {
        normalise(name): WrittenPicture(
            sha256=str(content['pictures'][name]['sha256']),
            size=parse_size(content['pictures'][name]['size']),
            labels=[dict(record) for record in labels],
        )
        for name, labels in content['labels'].items()
    }
    is_detector = SPLIT_TYPES[task] is ObjectSplit
    return Origin(
        file=file,
        task=task,
        classes=tuple(map(str, content['classes'])),
        checkpoint=str(content['checkpoint'] or content['config'] or 'a model in memory'),
        sha256=content['checkpoint_sha256'],
        thresholds=parse_thresholds(content) if is_detector else None,
        pictures=pictures,
        corrected=frozenset(),
    )


def parse_size(value: Sequence[int]) -> Size:
    width, height = map(int, value)
    return width, height


def read_corrected(file: Path, origin: Origin) -> frozenset[str]:
    """Return the names of pictures in :data:`CORRECTED`, a name on each line, or all if a line is
    ``*``.

    Raise a UserError for names that the mark does not have.
    """
    if not file.exists():
        return frozenset()
    # A name may have other characters at which splitlines would split.
    lines = [normalise(line.strip()) for line in read_text(file).split('\n')]
    names = {Path(line).name for line in lines if line and line != ALL_PICTURES}
    unknown = sorted(names.difference(origin.pictures))
    if unknown:
        raise UserError(
            f'{file} names {shorten(unknown)}, which {MARK} does not have. Expected on each line '
            f'the name of a picture, such as {next(iter(origin.pictures), "a.jpg")}, or '
            f'{ALL_PICTURES} for all'
        )
    return frozenset(origin.pictures) if ALL_PICTURES in lines else frozenset(names)


def mark_uncorrected(dataset: DatasetInfo) -> DatasetInfo:
    """Return a dataset whose images with uncorrected labels are marked. A note names the model.

    It is the dataset as a reader has read it, since what the rules leave out was not written. One
    that no model has labelled is returned as it is.

    Raises:
        UserError: What was written cannot be compared with what is read.
    """
    origin = read_origin(dataset.folder)
    if origin is None:
        return dataset
    if not all(isinstance(split, SPLIT_TYPES[origin.task]) for split in dataset.splits.values()):
        raise UserError(
            f'{origin.file} is of labels for {origin.task}, and the folder is read as '
            f'{dataset.format}, so they cannot be compared. Pass the folder as predict --labels '
            'wrote it, or as a tool has exported it for this task'
        )
    if set(dataset.classes).isdisjoint(origin.classes):
        raise UserError(
            f'{dataset.folder} has none of the classes that {MARK} names '
            f'({shorten(origin.classes, 8)}), but {shorten(dataset.classes, 8)}. Rename the '
            'classes as they were, or pass another folder'
        )
    comparison = Comparison(origin, dataset.classes)
    compared = {name: comparison.compare(split) for name, split in dataset.splits.items()}
    if not any(each.num_known for each in compared.values()):
        raise UserError(
            f'{dataset.folder} has none of the pictures that {MARK} names '
            f'({shorten(sorted(origin.pictures)) or "none"}), so it cannot be told which labels '
            'are corrected. Give the pictures the names that they had, or remove the file if '
            'somebody has made all labels'
        )
    splits = {
        name: mark_images(split, compared[name].uncorrected)
        for name, split in dataset.splits.items()
    }
    note = describe_comparison(origin, [*compared.values()])
    return replace(dataset, splits=splits, models=[str(origin)]).add_notes([note])


def mark_images(split: AnySplit, indices: Sequence[int]) -> AnySplit:
    """Return a split whose images at these indices are marked as uncorrected."""
    marked = {*indices}
    images = [
        replace(image, is_uncorrected=index in marked) for index, image in enumerate(split.images)
    ]
    return replace(split, images=images)


@dataclass(frozen=True)
class ComparedSplit:
    """The images of a split, compared with those of a mark."""

    uncorrected: list[int]  # the indices of the images with uncorrected labels
    num_known: int  # the number of images that are among those of the mark
    others: list[str]  # the names of those that are not


def describe_comparison(origin: Origin, splits: Sequence[ComparedSplit]) -> str:
    """Return a note that names the model, and counts its labels."""
    num_known = sum(split.num_known for split in splits)
    num_uncorrected = sum(len(split.uncorrected) for split in splits)
    others = [name for split in splits for name in split.others]
    text = (
        f'{MARK}: {origin} made the labels of {format_count(num_known, "image")}: '
        f'{num_uncorrected} uncorrected, {num_known - num_uncorrected} corrected or named in '
        f'{CORRECTED}'
    )
    if others:
        text += (
            f'; {format_count(len(others), "other image")} ({shorten(others)}) '
            f'{"count" if len(others) > 1 else "counts"} as labelled by somebody'
        )
    return text


class Comparison:
    """Compare the labels of a folder, whose classes are ``classes``, with those that a model
    wrote.
    """

    def __init__(self, origin: Origin, classes: Sequence[str]):
        self.origin = origin
        self.classes = classes
        self.by_stem = {make_stem(name): name for name in origin.pictures}
        self.by_sha256 = {each.sha256: name for name, each in origin.pictures.items()}

    def compare(self, split: Split) -> ComparedSplit:
        """Compare the images of a split, and their labels."""
        names = [self.find_name(path) for path in split.image_paths]
        uncorrected = []
        for index, name in enumerate(names):
            if name is None or name in self.origin.corrected:
                continue
            if self.is_unchanged(split, index, self.origin.pictures[name]):
                uncorrected.append(index)
        return ComparedSplit(
            uncorrected=uncorrected,
            num_known=sum(name is not None for name in names),
            others=[
                path.name
                for path, name in zip(split.image_paths, names, strict=True)
                if name is None
            ],
        )

    def find_name(self, path: Path) -> str | None:
        """Return the name in the mark of a picture, found by its name or its content, or else by
        what a tool has left of its name.
        """
        name = self.by_stem.get(make_stem(path.name))
        if name is None and path.is_file():
            name = self.by_sha256.get(compute_sha256(path))
        return name or self.by_stem.get(remove_additions(path.name))

    def is_unchanged(self, split: Split, index: int, written: WrittenPicture) -> bool:
        """Return whether the labels of an image, given by its index, say what was written."""
        image = split.images[index]
        if isinstance(image, ObjectImage):
            return has_written_objects(image, written)
        if isinstance(image, ClassImage):
            return [image.class_name] == [record['class'] for record in written.labels]
        assert isinstance(image, MapImage)
        return self.has_written_map(split.image_folder, image, written)

    def has_written_map(self, folder: Path, image: MapImage, written: WrittenPicture) -> bool:
        """Return whether each class has the pixels that were written.

        Raise a UserError for a map of another size.
        """
        pixels = read_labels(folder / image.map_name, image.pixel_labels)
        height, width = pixels.shape
        if (width, height) != written.size:
            raise UserError(
                f'{folder / image.map_name} has {width} x {height} pixels, and {MARK} says that '
                f'{written.size[0]} x {written.size[1]} were written, so they cannot be compared. '
                'Export the maps in the size of the pictures'
            )
        found = {
            (self.classes[label], hash_mask(pixels == label))
            for label in np.unique(pixels).tolist()
            if label < len(self.classes)
        }
        return found == {(record['class'], record['sha256']) for record in written.labels}


@dataclass(frozen=True)
class WrittenObject:
    """An object as it was written, in the size in which the image is read."""

    class_name: str
    edges: Edges  # of the box
    polygons: Sequence[Polygon]  # of the mask; none without one


def has_written_objects(image: ObjectImage, written: WrittenPicture) -> bool:
    """Return whether each object of an image is one that was written, and the other way round.

    Tools write objects in another order, so the order doesn't count.
    """
    if isinstance(image.size, Unusable):
        return False
    made = [scale_object(record, written.size, image.size) for record in written.labels]
    matches = np.zeros((len(image.objects), len(made)), bool)
    for row, each in enumerate(image.objects):
        for column, other in enumerate(made):
            matches[row, column] = is_same_object(each, other, image.size)
    return bool(matches.any(0).all() and matches.any(1).all())


def scale_object(record: Mapping[str, Any], size: Size, read_size: Size) -> WrittenObject:
    """Return the object of a record in an image that was ``size`` and is ``read_size``, as
    (width, height).
    """
    factors = np.divide(read_size, size)
    x, y, width, height = record['bbox']
    edges = (np.reshape([x, y, x + width, y + height], (2, 2)) * factors).ravel().tolist()
    polygons = [
        (np.reshape(polygon, (-1, 2)) * factors).ravel().tolist()
        for polygon in record.get('segmentation', ())
    ]
    return WrittenObject(str(record['class']), edges, polygons)


def is_same_object(each: LabelledObject, written: WrittenObject, size: Size) -> bool:
    """Return whether an object says what was written, but for how tools round it.

    ``size`` is the (width, height) of the image.
    """
    if each.class_name != written.class_name or each.is_ignored or not isinstance(each.box, Box):
        return False
    if each.mask is None or not written.polygons:  # boxes only
        tolerance = BOX_OF_MASK_TOLERANCE if written.polygons else TOLERANCE
        return each.mask is None and are_near(each.box.edges, written.edges, tolerance)
    if isinstance(each.mask, Unusable) or measure_mask(each.mask, size).rule:
        return False
    return are_within_a_pixel(each.mask, written.polygons, size)
