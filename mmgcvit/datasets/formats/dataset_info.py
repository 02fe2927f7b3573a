"""What a folder of data holds, whatever its format, and the train / val split."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import UserError, format_count, shorten
from ..classes import make_coco_categories

VAL_SHARE = 0.2
# Folders and files of these names hold a split.
SPLIT_NAME = re.compile(r'(?P<train>train(ing)?\d*)|(?P<val>val(id|idation)?\d*)|(?P<test>test(ing)?\d*)')
# Roboflow writes augmented copies of an image as NAME.rf.HASH.jpg.
COPY = '.rf.'
# An image, its width and height, and the class index and entries such as bbox of each object.
Annotated = tuple[Path, tuple[int, int], Iterable[tuple[int, dict[str, Any]]]]


@dataclass
class Split:
    """Images to train, validate or test on.

    Attributes:
        images: The folder that the images' names are relative to.
        content: The content of a COCO file; or a line for each image: its name, for classification followed by a space
            and the number of its class.
        file: The annotation file, once there is one with this content.
        labels: The folder of segmentation maps.
    """

    images: Path
    content: dict[str, Any] | list[str]
    file: Path | None = None
    labels: Path | None = None

    @property
    def names(self) -> list[str]:
        """The images' names."""
        if isinstance(self.content, dict):
            return [image['file_name'] for image in self.content['images']]
        return self.content if self.labels else [line.rsplit(' ', 1)[0] for line in self.content]

    def select(self, indices: set[int]) -> 'Split':
        """The split of the images with these indices."""
        if not isinstance(self.content, dict):
            return Split(self.images, [line for i, line in enumerate(self.content) if i in indices], None, self.labels)
        images = [image for i, image in enumerate(self.content['images']) if i in indices]
        ids = {image['id'] for image in images}
        annotations = [each for each in self.content['annotations'] if each['image_id'] in ids]
        return Split(self.images, {**self.content, 'images': images, 'annotations': annotations})


@dataclass
class DatasetInfo:
    """What a folder of data holds.

    Attributes:
        folder: The folder.
        format: The name of its format, in words.
        kinds: What can be learned, the default first: ``'masks'``, ``'boxes'``, ``'labels'`` (of pixels), ``'classes'``
            (of images).
        classes: Their names, in the order of their numbers.
        splits: ``'train'``, and maybe ``'val'`` and ``'test'``.
        notes: What the user should know.
        suffixes: Of image and label files, where there are segmentation maps.
    """

    folder: Path
    format: str
    kinds: tuple[str, ...]
    classes: tuple[str, ...]
    splits: dict[str, Split]
    notes: list[str] = field(default_factory=list)
    suffixes: tuple[str, str] = ('', '')

    def __post_init__(self) -> None:
        if self.has_objects:
            objects = [each for split in self.splits.values() for each in split.content['annotations']]
            has_masks = objects and all(each.get('segmentation') for each in objects)
            self.kinds = ('masks', 'boxes') if has_masks else ('boxes',)

    @property
    def has_objects(self) -> bool:
        """Whether it has annotations of objects."""
        return self.kinds[0] in ('boxes', 'masks')

    def __str__(self) -> str:
        counts = ', '.join(f'{format_count(len(split.names), "image")} ({name})' for name, split in self.splits.items())
        objects = sum(len(split.content['annotations']) for split in self.splits.values() if self.has_objects)
        counts += f', {objects} objects' if self.has_objects else ''
        names = f'{len(self.classes)} classes ({shorten(self.classes, 8)})'
        return '\n'.join([f'{self.folder}: {self.format}, {counts}, {names}', *self.notes])

    def split_validation(self) -> None:
        """Hold out a fifth of the training images for validation, unless there is a validation split.

        Images are chosen by a hash of their names: the same ones each time, and nearly the same ones when images are
        added. Roboflow's copies of an image stay together.

        Raises:
            UserError: There are too few images.
        """
        if 'train' not in self.splits:
            raise UserError(f'{self.folder} has images for {" and ".join(self.splits)}, but none to train on')
        if 'val' in self.splits:
            return
        train = self.splits['train']
        originals = {name.split(COPY)[0] for name in train.names}
        number = max(1, round(VAL_SHARE * len(originals)))
        if number == len(originals):
            raise UserError(f'{self.folder} has only one image to train on: too few to validate')
        chosen = {*sorted(originals, key=lambda name: hashlib.sha256(name.encode()).digest())[:number]}
        val = {index for index, name in enumerate(train.names) if name.split(COPY)[0] in chosen}
        rest = {*range(len(train.names))} - val
        self.splits |= {'train': train.select(rest), 'val': train.select(val)}
        self.notes.append(f'no val split: {len(val)} of {len(train.names)} images are set aside, by their names')


def find_split(path: Path) -> str | None:
    """The split that a path names by its last word for one, or None: ``'train'`` of ``train2017/a.jpg``."""
    words = (word for name in reversed(path.parts) for word in re.split(r'[_.\- ]', name.lower()))
    return next((match.lastgroup for match in map(SPLIT_NAME.fullmatch, words) if match), None)


def make_split(folder: Path, classes: Sequence[str], images: Iterable[Annotated]) -> Split:
    """A split with COCO annotations. Names of images are relative to the folder if they are in it, else absolute."""
    content = {'images': [], 'annotations': [], 'categories': make_coco_categories(classes)}
    folder = folder.resolve()
    for number, (path, (width, height), objects) in enumerate(images, start=1):
        path = path.resolve()
        name = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
        content['images'].append({'id': number, 'file_name': name, 'width': width, 'height': height})
        for label, entries in objects:
            ids = {'id': len(content['annotations']) + 1, 'image_id': number}
            content['annotations'].append({**ids, 'category_id': content['categories'][label]['id'], **entries})
    return Split(folder, content)


def write_annotations(dataset: DatasetInfo, folder: Path) -> None:
    """Write an annotation file of each split that has none of its own, into ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in dataset.splits.items():
        if split.file is not None:
            continue
        is_coco = isinstance(split.content, dict)
        split.file = folder / f'{name}{".json" if is_coco else ".txt"}'
        text = json.dumps(split.content) if is_coco else '\n'.join(split.content) + '\n'
        split.file.write_text(text, encoding='utf-8')


def list_files(folder: Path) -> Iterator[Path]:
    """Files below a folder, sorted, relative to it, through links; hidden ones are left out."""
    for parent, folders, names in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        yield from (Path(parent, name).relative_to(folder) for name in sorted(names) if not name.startswith('.'))
