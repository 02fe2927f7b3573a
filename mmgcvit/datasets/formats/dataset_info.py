"""A dataset of any format: make its splits, hold out images for validation, and write its annotation files."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError, format_count, shorten
from ...files import write_text
from ..classes import make_coco_categories

VAL_FRACTION = 0.2
# Roboflow writes augmented copies of an image as NAME.rf.HASH.jpg.
COPY_MARK = '.rf.'


@dataclass
class Split:
    """The images of a split and their annotations.

    Attributes:
        image_folder: The folder that image names are relative to.
        content: The content of a COCO file, or a list of (image name, label). A label is a class index, or the path of
            a segmentation map, relative to ``image_folder``.
        ann_file: The annotation file that :func:`write_annotations` has written.
    """

    image_folder: Path
    content: dict[str, Any] | list[tuple[str, str]]
    ann_file: Path | None = None

    @property
    def image_names(self) -> list[str]:
        """The names of the images, relative to ``image_folder``."""
        if isinstance(self.content, dict):
            return [image['file_name'] for image in self.content['images']]
        return [name for name, _ in self.content]

    def select(self, indices: set[int]) -> 'Split':
        """Return a split that contains only the images with the given indices."""
        if not isinstance(self.content, dict):
            return Split(self.image_folder, [pair for i, pair in enumerate(self.content) if i in indices])
        images = [image for i, image in enumerate(self.content['images']) if i in indices]
        ids = {image['id'] for image in images}
        annotations = [obj for obj in self.content['annotations'] if obj['image_id'] in ids]
        return Split(self.image_folder, {**self.content, 'images': images, 'annotations': annotations})


@dataclass
class DatasetInfo:
    """A dataset of any format, with its classes and splits.

    Attributes:
        folder: The folder of the dataset.
        format: The name of the format, for messages.
        annotation_types: Types of annotations to train on, the default first: ``'masks'``, ``'boxes'``, ``'seg_maps'``
            (of pixels) or ``'classes'`` (of images).
        classes: The class names, ordered by class index.
        splits: The splits by name: ``'train'`` and, if they exist, ``'val'`` and ``'test'``.
        notes: Messages for the user.
        problems: Messages that name the images and annotations that cannot be used.
    """

    folder: Path
    format: str
    annotation_types: tuple[str, ...]
    classes: tuple[str, ...]
    splits: dict[str, Split]
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def has_objects(self) -> bool:
        """Whether the annotations are boxes or masks of objects."""
        return self.annotation_types[0] in ('boxes', 'masks')

    def __str__(self) -> str:
        sizes = {name: format_count(len(split.image_names), 'image') for name, split in self.splits.items()}
        counts = ', '.join(f'{size} ({name})' for name, size in sizes.items())
        num_objects = sum(len(split.content['annotations']) for split in self.splits.values() if self.has_objects)
        counts += f', {num_objects} objects' if self.has_objects else ''
        num_empty = 0
        if self.has_objects and 'train' in self.splits:
            content = self.splits['train'].content
            num_empty = len(content['images']) - len({obj['image_id'] for obj in content['annotations']})
        counts += f' ({format_count(num_empty, "image")} without objects: background in training)' if num_empty else ''
        names = f'{len(self.classes)} classes ({shorten(self.classes, 8)})'
        return '\n'.join([f'{self.folder}: {self.format}, {counts}, {names}', *self.notes])


def find_empty_classes(classes: Sequence[str], used: Collection[str]) -> list[str]:
    """Return a note that names the classes that are not in ``used``, or no note if there are none."""
    empty = [name for name in classes if name not in used]
    return [f'classes without annotations: {shorten(empty, 8)}'] if empty else []


class AnnotatedImage(NamedTuple):
    """An image with its objects, each a class index and a dict with COCO's keys such as ``bbox``."""

    path: Path
    size: tuple[int, int]  # (width, height)
    objects: Sequence[tuple[int, dict[str, Any]]]
    problems: Sequence[str] = ()  # messages about objects that cannot be used


def read_each(read: Callable[[Any], Any], files: Iterable[Any]) -> tuple[list[Any], list[str]]:
    """Call ``read`` with each file, in threads. Return the results, and the messages of its UserErrors."""

    def try_to_read(file: Any) -> tuple[Any, str | None]:
        try:
            return read(file), None
        except UserError as error:
            return None, str(error)

    with ThreadPoolExecutor() as pool:
        pairs = [*pool.map(try_to_read, files)]
    return [result for result, error in pairs if error is None], [error for _, error in pairs if error is not None]


def make_split(
    folder: Path, classes: Sequence[str], files: Iterable[Path], read_image: Callable[[Path], AnnotatedImage]
) -> tuple[Split, list[str]]:
    """Read files and make a split with COCO annotations. Return it, and a message for each problem.

    Image names are relative to ``folder``, or absolute if the image is outside of it.
    """
    content = {'images': [], 'annotations': [], 'categories': make_coco_categories(classes)}
    folder = folder.resolve()
    images, problems = read_each(read_image, files)
    for image_id, (path, (width, height), objects, found) in enumerate(images, start=1):
        problems += found
        path = path.resolve()
        name = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
        content['images'].append({'id': image_id, 'file_name': name, 'width': width, 'height': height})
        for label, entries in objects:
            ids = {'id': len(content['annotations']) + 1, 'image_id': image_id}
            content['annotations'].append({**ids, 'category_id': content['categories'][label]['id'], **entries})
    return Split(folder, content), problems


def set_annotation_types(dataset: DatasetInfo) -> None:
    """Set the type of a dataset of objects, in place: masks if nearly all objects have one. Note unused classes."""
    contents = [split.content for split in dataset.splits.values()]
    objects = [obj for content in contents for obj in content['annotations']]
    used_ids = {obj['category_id'] for obj in objects}
    # All splits have the same categories.
    used = {category['name'] for category in contents[0]['categories'] if category['id'] in used_ids}
    dataset.notes += find_empty_classes(dataset.classes, used)
    # leave_out_unusable leaves out the other objects, which have only a box.
    has_masks = sum(bool(obj.get('segmentation')) for obj in objects) > 0.9 * len(objects)
    dataset.annotation_types = ('masks', 'boxes') if has_masks else ('boxes',)


def split_validation(dataset: DatasetInfo) -> None:
    """Hold out a fifth of the training images for validation, in place, unless there is a validation split.

    The images are selected by a hash of their names. So each run selects the same images, and nearly the same images
    after new ones were added. Roboflow's augmented copies of an image stay in one split. Raise a UserError if there is
    no training split, or it has only one image.
    """
    if 'train' not in dataset.splits:
        raise UserError(
            f'{dataset.folder} has images for {" and ".join(dataset.splits)}, but none for training. Add images for '
            'training (docs/custom_dataset.md)'
        )
    if 'val' in dataset.splits:
        return
    train = dataset.splits['train']
    originals = {name.split(COPY_MARK)[0] for name in train.image_names}
    num_val = max(1, round(VAL_FRACTION * len(originals)))
    if num_val == len(originals):
        raise UserError(
            f'{dataset.folder} has only one image to train on. Add more: at least one is held out for validation'
        )
    held_out = {*sorted(originals, key=lambda name: hashlib.sha256(name.encode()).digest())[:num_val]}
    val = {index for index, name in enumerate(train.image_names) if name.split(COPY_MARK)[0] in held_out}
    rest = {*range(len(train.image_names))} - val
    dataset.splits |= {'train': train.select(rest), 'val': train.select(val)}
    dataset.notes.append(f'no val split: {len(val)} of {len(train.image_names)} images are held out for validation')


def write_annotations(dataset: DatasetInfo, folder: Path) -> None:
    """Write an annotation file for each split into ``folder``, so that a run is not affected when the data change."""
    for name, split in dataset.splits.items():
        is_coco = isinstance(split.content, dict)
        split.ann_file = folder / f'{name}{".json" if is_coco else ".txt"}'
        # mmpretrain's CustomDataset expects a space between image name and label, PairedSegDataset a tab.
        separator = '\t' if dataset.annotation_types == ('seg_maps',) else ' '
        # CustomDataset removes blanks at the beginning of a line.
        lines = ('./' * pair[0][0].isspace() + separator.join(pair) + '\n' for pair in split.content)
        text = json.dumps(split.content) if is_coco else ''.join(lines)
        write_text(split.ann_file, text)
