"""Recognise labels that a model made and nobody has corrected.

``mmgcvit predict --labels`` writes :data:`MARK` beside the labels. It has the model, and for each
picture what was written. Labels are uncorrected if they still say the same
(:mod:`.written_labels`): the same classes, and boxes and masks that differ by no more than tools
round them. Bytes and times of files don't count, since tools write their files anew. Who looked at
a picture and found its labels right names it in :data:`CORRECTED`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...datasets.annotations import Json, JsonObject
from ...errors import UserError, format_count, shorten
from ...host.files import compute_sha256, normalise, read_text
from ...host.tasks import DETECTION
from ...predict.thresholds import ScoreThresholds, parse_thresholds
from .folders import CORRECTED, MARK
from .object_records import AnySplit
from .records import DatasetInfo, Split
from .series import COPY_ENDING, UPLOAD_PREFIX
from .written_labels import (
    WRITTEN_LABELS,
    MarkError,
    WrittenLabels,
    get_optional_text,
    get_value,
    require_object,
)

MAKER = 'mmgcvit '  # with which the value of ``made_by`` begins
ALL_PICTURES = '*'  # a line of CORRECTED


@dataclass(frozen=True)
class WrittenPicture:
    """What was written for a picture."""

    sha256: str  # of the picture
    labels: WrittenLabels[Any]  # of the type for the mark's task


@dataclass(frozen=True)
class Origin:
    """The model that made the labels of a folder, and what it wrote."""

    file: Path
    task: str  # a key of WRITTEN_LABELS
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


def read_origin(folder: Path) -> Origin | None:
    """Return what :data:`MARK` and :data:`CORRECTED` in a folder say, or None without a MARK.

    Raise a UserError if one of them is damaged: without it, a model's labels would count as those
    of somebody.
    """
    file = folder / MARK
    if not file.is_file():
        return None
    text = read_text(file)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise make_damaged_error(file, f'it is not JSON: {error}') from error
    try:
        origin = parse_origin(file, require_object(content))
    except MarkError as error:
        raise make_damaged_error(file, str(error)) from error
    return replace(origin, corrected=read_corrected(folder / CORRECTED, origin))


def make_damaged_error(file: Path, reason: str) -> UserError:
    """Return the error for a mark that cannot be read."""
    return UserError(
        f'{file} is damaged ({reason}). Restore it: predict --labels writes it, and it says which '
        'labels a model made. If somebody has made all labels of the folder, remove it'
    )


def parse_origin(file: Path, content: JsonObject) -> Origin:
    """Return what a mark says, but for the pictures that somebody found right.

    Raise a MarkError for other contents than ``predict --labels`` writes.
    """
    made_by = get_value(content, 'made_by', str)
    task = get_value(content, 'task', str)
    if not made_by.startswith(MAKER) or task not in WRITTEN_LABELS:
        raise MarkError(f'made_by is {made_by!r:.40}, task {task!r:.40}')
    classes = get_value(content, 'classes', list)
    if not all(isinstance(name, str) for name in classes):
        raise MarkError(f'classes is {classes!r:.40}')
    checkpoint = get_optional_text(content, 'checkpoint')
    config = get_optional_text(content, 'config')
    pictures = get_value(content, 'pictures', dict)
    labels = get_value(content, 'labels', dict)
    return Origin(
        file=file,
        task=task,
        classes=tuple(classes),
        checkpoint=checkpoint or config or 'a model in memory',
        sha256=get_optional_text(content, 'checkpoint_sha256'),
        thresholds=parse_detector_thresholds(content) if task == DETECTION.name else None,
        pictures={
            normalise(name): parse_picture(
                get_value(pictures, name, dict), get_value(labels, name, list), task
            )
            for name in labels
        },
        corrected=frozenset(),
    )


def parse_detector_thresholds(content: JsonObject) -> ScoreThresholds:
    """Return the thresholds in a mark. Raise a MarkError for damaged ones."""
    try:
        return parse_thresholds(content)
    except ValueError as error:
        raise MarkError(str(error)) from error


def parse_picture(picture: JsonObject, labels: Sequence[Json], task: str) -> WrittenPicture:
    """Return what a mark says about a picture. Raise a MarkError for values of other types."""
    size = get_value(picture, 'size', list)
    if len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise MarkError(f'size is {size!r:.40}')
    records = [require_object(record) for record in labels]
    return WrittenPicture(
        sha256=get_value(picture, 'sha256', str),
        labels=WRITTEN_LABELS[task].parse(records, (size[0], size[1])),
    )


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
    split_type = WRITTEN_LABELS[origin.task].split_type
    if not all(isinstance(split, split_type) for split in dataset.splits.values()):
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
    marked = replace(dataset, splits=splits, models=[str(origin)], digests=dict(comparison.digests))
    return marked.add_notes([note])


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
        # By path without links: the pictures that were looked for by their content
        self.digests: dict[Path, str] = {}

    def compare(self, split: Split) -> ComparedSplit:
        """Compare the images of a split, of the type for the task, and their labels."""
        uncorrected = []
        others = []
        for index, (image, path) in enumerate(zip(split.images, split.image_paths, strict=True)):
            name = self.find_name(path)
            if name is None:
                others.append(path.name)
                continue
            labels = self.origin.pictures[name].labels
            is_right = name in self.origin.corrected
            if not is_right and labels.are_unchanged(image, split.image_folder, self.classes):
                uncorrected.append(index)
        return ComparedSplit(uncorrected, len(split.images) - len(others), others)

    def find_name(self, path: Path) -> str | None:
        """Return the name in the mark of a picture, found by its name or its content, or else by
        what a tool has left of its name.
        """
        name = self.by_stem.get(make_stem(path.name))
        if name is None and path.is_file():
            digest = compute_sha256(path)
            self.digests[path.resolve()] = digest
            name = self.by_sha256.get(digest)
        return name or self.by_stem.get(remove_additions(path.name))
