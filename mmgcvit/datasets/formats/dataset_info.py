"""A dataset of any format: make its splits, and write its annotation files."""

import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError, escape_controls, format_count, shorten
from ...files import make_absolute, write_text
from ..decoding import IGNORE_INDEX
from .plausible import XYWH


@dataclass
class Split:
    """The images of a split and their annotations."""

    image_folder: Path  # which image names are relative to
    # The content of a COCO file, or (image name, label) of each image. A label is a class index, or
    # the path of a segmentation map, relative to image_folder.
    content: dict[str, Any] | list[tuple[str, str]]
    ann_file: Path | None = None  # written by write_annotations
    map_labels: dict[str, set[int]] = field(
        default_factory=dict
    )  # in each segmentation map, by its path

    @property
    def image_names(self) -> list[str]:
        """The names of the images, relative to ``image_folder``."""
        if isinstance(self.content, dict):
            return [image['file_name'] for image in self.content['images']]
        return [name for name, _ in self.content]

    @property
    def sizes(self) -> list[tuple[int, int] | None]:
        """The annotated (width, height) of each image, or None."""
        if isinstance(self.content, dict):
            return [(image['width'], image['height']) for image in self.content['images']]
        return [None] * len(self.content)

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The annotations of objects, without the ignored ones (crowds)."""
        return [obj for obj in self.content['annotations'] if not obj.get('iscrowd')]

    def list_sizes(self, objects: Iterable[dict[str, Any]]) -> list[tuple[int, int]]:
        """Return the annotated (width, height) of the image of each object."""
        sizes = dict(
            zip((image['id'] for image in self.content['images']), self.sizes, strict=True)
        )
        return [sizes[obj['image_id']] for obj in objects]

    def select(self, indices: set[int]) -> 'Split':
        """Return a split that contains only the images with the given indices."""
        if len(indices) == len(self.image_names):
            return self
        if not isinstance(self.content, dict):
            return replace(
                self, content=[pair for i, pair in enumerate(self.content) if i in indices]
            )
        images = [image for i, image in enumerate(self.content['images']) if i in indices]
        ids = {image['id'] for image in images}
        annotations = [obj for obj in self.content['annotations'] if obj['image_id'] in ids]
        return Split(
            self.image_folder, {**self.content, 'images': images, 'annotations': annotations}
        )


@dataclass
class DatasetInfo:
    """A dataset of any format, with its classes and splits."""

    folder: Path
    format: str  # its name, for messages
    # What can be trained on, the default first: 'masks', 'boxes', 'seg_maps' (of pixels) or
    # 'classes' (of images).
    annotation_types: tuple[str, ...]
    classes: tuple[str, ...]  # names, ordered by class index
    splits: dict[str, Split]  # 'train' and, if they exist, 'val' and 'test'
    notes: list[str] = field(default_factory=list)  # messages for the user
    problems: list[str] = field(
        default_factory=list
    )  # messages about images and annotations that cannot be used
    box_format: str = XYWH  # how the format writes boxes: a key of BOX_FORMATS in plausible.py

    @property
    def has_objects(self) -> bool:
        """Whether the annotations are boxes or masks of objects."""
        return self.annotation_types[0] in ('boxes', 'masks')

    def list_classes(self, split_name: str) -> list[set[str]]:
        """Return the names of the classes that each image of a split has, without those of ignored
        objects.
        """
        split = self.splits[split_name]
        if not self.has_objects:
            labels = [split.map_labels.get(label, {label}) for _, label in split.content]
            return [{self.classes[int(i)] for i in found if i != IGNORE_INDEX} for found in labels]
        names = {category['id']: category['name'] for category in split.content['categories']}
        found = {image['id']: set() for image in split.content['images']}
        for obj in split.objects:
            found[obj['image_id']].add(names[obj['category_id']])
        return [*found.values()]

    def __str__(self) -> str:
        splits = self.splits.items()
        text = ', '.join(
            f'{format_count(len(split.image_names), "image")} ({name})' for name, split in splits
        )
        if self.has_objects:
            num_objects = sum(len(split.objects) for _, split in splits)
            num_ignored = (
                sum(len(split.content['annotations']) for _, split in splits) - num_objects
            )
            text += f', {num_objects} objects'
            text += f', {num_ignored} ignored (difficult or crowds)' if num_ignored else ''
            empty = self.list_classes('train').count(set()) if 'train' in self.splits else 0
            text += (
                f' ({format_count(empty, "image")} without objects: background in training)'
                if empty
                else ''
            )
        names = f'{len(self.classes)} classes ({shorten(self.classes, 8)})'
        return escape_controls(
            '\n'.join([f'{self.folder}: {self.format}, {text}, {names}', *self.notes])
        )


class AnnotatedImage(NamedTuple):
    """An image with its objects, each a class index and a dict with COCO's keys such as ``bbox``."""

    path: Path
    size: tuple[int, int]  # (width, height)
    objects: Sequence[tuple[int, dict[str, Any]]]
    problems: Sequence[str] = ()  # messages about objects that cannot be used


def read_each(read: Callable[[Any], Any], files: Iterable[Any]) -> tuple[list[Any], list[str]]:
    """Call ``read`` with each file, in threads.

    Return the results, and the messages of its UserErrors.
    """

    def try_to_read(file: Any) -> tuple[Any, str | None]:
        try:
            return read(file), None
        except UserError as error:
            return None, str(error)

    with ThreadPoolExecutor() as pool:
        pairs = [*pool.map(try_to_read, files)]
    return [result for result, error in pairs if error is None], [
        error for _, error in pairs if error is not None
    ]


def make_split(
    folder: Path,
    classes: Sequence[str],
    files: Iterable[Path],
    read_image: Callable[[Path], AnnotatedImage],
) -> tuple[Split, list[str]]:
    """Read files as a split with COCO annotations.

    Return it, with names relative to ``folder``, and problems.
    """
    content = {'images': [], 'annotations': [], 'categories': make_coco_categories(classes)}
    root = make_absolute(folder)
    images, problems = read_each(read_image, files)
    for image_id, (path, (width, height), objects, found) in enumerate(images, start=1):
        problems += found
        path = make_absolute(path)
        name = str(path.relative_to(root) if path.is_relative_to(root) else path)
        content['images'].append(
            {'id': image_id, 'file_name': name, 'width': width, 'height': height}
        )
        for label, entries in objects:
            ids = {'id': len(content['annotations']) + 1, 'image_id': image_id}
            content['annotations'].append(
                {**ids, 'category_id': content['categories'][label]['id'], **entries}
            )
    return Split(folder.resolve(), content), problems


def list_coco_categories() -> list[dict[str, Any]]:
    """Return COCO's categories, as torchvision lists them: its 80 classes have ids from 1 to 90,
    with gaps.
    """
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    names = enumerate(MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta['categories'])
    return [{'id': i, 'name': name} for i, name in names if name not in ('__background__', 'N/A')]


def make_coco_categories(names: Sequence[str]) -> list[dict[str, Any]]:
    """Return categories in COCO's format for class names.

    Ids are 1, 2, ..., but COCO's ids for COCO's 80 names.
    """
    coco = list_coco_categories() if len(names) == 80 else []
    if list(names) == [category['name'] for category in coco]:
        return coco
    return [{'id': category_id, 'name': name} for category_id, name in enumerate(names, start=1)]


def write_annotations(dataset: DatasetInfo, folder: Path) -> None:
    """Write an annotation file for each split into ``folder``, so that a run is not affected when
    the data change.
    """
    for name, split in dataset.splits.items():
        is_coco = isinstance(split.content, dict)
        split.ann_file = folder / f'{name}{".json" if is_coco else ".txt"}'
        # mmpretrain's CustomDataset expects a space between image name and label, PairedSegDataset
        # a tab.
        separator = '\t' if dataset.annotation_types == ('seg_maps',) else ' '
        # CustomDataset removes blanks at the beginning of a line.
        lines = (
            './' * pair[0][0].isspace() + separator.join(pair) + '\n' for pair in split.content
        )
        text = json.dumps(split.content) if is_coco else ''.join(lines)
        write_text(split.ann_file, text)
