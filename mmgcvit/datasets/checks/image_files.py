"""Collect the issues of datasets; check that images and segmentation maps exist, are readable and
fit annotations.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset

from ...errors import UserError, get_first_line, shorten
from ..decoding import IGNORE_INDEX, DecodingSettings, load_image, read_segmentation_map
from .paths import get_data_path


@dataclass(frozen=True)
class Issue:
    """A problem, its remedy (a sentence), and whether it stops a run.

    If not, training skips the affected objects.
    """

    problem: str
    remedy: str
    stops_run: bool = True


@dataclass
class Report:
    """The issues: lists of examples by (path of the file or folder, issue).

    Also notes and summaries.
    """

    issues: dict[tuple[str, Issue], list[str]] = field(default_factory=lambda: defaultdict(list))
    notes: list[str] = field(default_factory=list)
    summaries: list[str] = field(default_factory=list)

    def add(self, issue: Issue, path: str, examples: Sequence[str] | None = None) -> None:
        """Add examples of an issue. An empty list adds nothing.

        None means that ``path`` itself has the issue.
        """
        if examples is None or len(examples):
            self.issues[path, issue] += examples or []

    def format_messages(self, stops_run: bool = True) -> list[str]:
        """Return a message (path, count, examples, remedy) for each issue with this ``stops_run``."""
        messages = []
        for (path, issue), examples in self.issues.items():
            count = f'{len(examples)} of them: ' if len(examples) > 1 else ''
            details = f' ({count}{shorten(examples)})' if examples else ''
            messages += (
                [f'{path}: {issue.problem}{details}. {issue.remedy}']
                if issue.stops_run is stops_run
                else []
            )
        return messages


MISSING = Issue('files that are missing', 'Add them, or remove them from the annotations')
UNREADABLE = Issue('images that cannot be read', 'Copy or convert them again, or remove them')
OTHER_SIZE = Issue(
    'images of another size than their annotations or maps', 'Change annotations, or replace files'
)
EXIF_ROTATION = Issue(
    'images annotated before EXIF rotation', 'Add mmgcvit.ApplyExifAsAnnotated to the pipeline'
)
NO_IMAGES = Issue(
    'lists no images', 'Change data_prefix, ann_file, classes or suffixes in the config'
)
OTHER_LABELS = Issue(
    'labels that belong to no class', 'Change the classes or reduce_zero_label in the config'
)
OTHER_ORDER = Issue(
    'class folders in another order than the classes of the config', 'Sort the classes'
)
NO_MAP = Issue(
    'unreadable segmentation maps',
    'Save class indices as pixel values in 8-bit single-channel PNG files',
)


@dataclass(frozen=True)
class ImageFile:
    """The path of an image and, if they exist, its annotated size (width, height) and its
    segmentation map's path.
    """

    path: str
    annotated_size: tuple[int, int] | None = None
    map_path: str | None = None


def find_missing(place: str, paths: Iterable[str], report: Report) -> set[str]:
    """Report and return missing files. List each folder once, because one look-up per file is slow."""
    parts = {path: os.path.split(path) for path in paths}
    names = {
        folder: set(os.listdir(folder or '.'))  # noqa: PTH208
        for folder, _ in parts.values()
        if Path(folder or '.').is_dir()
    }
    missing = [path for path, (folder, name) in parts.items() if name not in names.get(folder, ())]
    report.add(MISSING, place, missing)
    return {*missing}


def check_image(
    image: ImageFile, decoding: DecodingSettings, dataset: BaseDataset
) -> list[tuple[Issue, str]]:
    """Decode an image and, if it has one, its segmentation map. Return their issues with examples."""
    try:
        loaded, stored_size = load_image(image.path, decoding)
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        return [(UNREADABLE, f'{image.path} ({get_first_line(error)})')]
    size, annotated_size, issues = loaded.shape[1::-1], image.annotated_size, []
    if annotated_size == stored_size and decoding.matches_annotated_size:
        size = stored_size
    if annotated_size not in (None, size):
        example = f'{image.path} is {size[0]} x {size[1]}, annotated as {annotated_size[0]} x {annotated_size[1]}'
        issues.append((EXIF_ROTATION if annotated_size == stored_size else OTHER_SIZE, example))
    return (
        [*issues, *check_segmentation_map(image.map_path, size, dataset)]
        if image.map_path
        else issues
    )


def check_folders(dataset: BaseDataset, report: Report) -> list[ImageFile]:
    """Check the images that a dataset lists, count the images of each class, and return the
    existing ones.
    """
    place, entries = get_data_path(dataset), []
    try:
        entries = dataset.load_data_list()
        report.add(NO_IMAGES, place, [] if entries else None)
    # OpenMMLab's datasets raise errors of any class for malformed lists and missing folders.
    except Exception as error:
        report.add(NO_IMAGES, place, [get_first_line(error)])
    images = [ImageFile(entry['img_path'], map_path=entry.get('seg_map_path')) for entry in entries]
    missing = find_missing(
        place, [path for image in images for path in (image.path, image.map_path) if path], report
    )
    classes = dataset.metainfo.get('classes') or ()
    labels = {entry['img_path']: entry['gt_label'] for entry in entries if 'gt_label' in entry}
    beyond = [
        f'{path} has label {i}'
        for path, i in labels.items()
        if classes and not 0 <= i < len(classes)
    ]
    report.add(OTHER_LABELS, place, beyond)
    # mmpretrain labels the sorted folders 0, 1, 2, ... and ignores the order of the config's
    # classes.
    named = [
        (name, classes[label])
        for name, label in getattr(dataset, 'folder_to_idx', {}).items()
        if name in classes
    ]
    report.add(
        OTHER_ORDER,
        place,
        [f'{name!r} would be called {called!r}' for name, called in named if name != called],
    )
    counts = Counter(labels.values())
    text = (
        ', '.join(f'{counts[label]} {name}' for label, name in enumerate(classes)) if labels else ''
    )
    report.summaries.append(f'{place}: {len(entries)} images{": " if text else ""}{text}')
    return [image for image in images if not {image.path, image.map_path} & missing]


def check_segmentation_map(
    path: str, size: tuple[int, int], dataset: BaseDataset
) -> Iterator[tuple[Issue, str]]:
    """Yield the issues of a segmentation map. ``size`` is the (width, height) of its image."""
    try:
        labels = read_segmentation_map(Path(path))
    except UserError as error:
        yield NO_MAP, str(error)
        return
    if labels.shape[::-1] != size:
        yield (
            OTHER_SIZE,
            f'{path} is {labels.shape[1]} x {labels.shape[0]}, not {size[0]} x {size[1]}',
        )
    # If the config selects some of the classes, the keys of label_map are all original labels.
    classes = dataset.label_map or dataset.metainfo.get('classes')
    known = {
        *range(len(classes or ()) + bool(dataset.reduce_zero_label)),
        IGNORE_INDEX,
        dataset.ignore_index,
    }
    beyond = [str(label) for label in np.unique(labels).tolist() if label not in known]
    if classes and beyond:
        yield OTHER_LABELS, f'{path} has label {", ".join(beyond)}'
