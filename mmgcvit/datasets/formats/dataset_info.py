"""Represent a dataset of any format in memory, hold out a validation split, and write annotation files."""

import hashlib
import json
import os
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, inf, prod, sqrt
from numbers import Real
from pathlib import Path
from typing import Any

from ...errors import UserError, format_count, shorten
from ..classes import make_coco_categories

VAL_FRACTION = 0.2
# Maximum of the number of problems (unusable images and annotations) divided by the number of images, in which each
# annotation problem counts as an image too. Datasets with more problems are rejected.
MAX_UNUSABLE = 0.1
# An object with a smaller side in pixels is too small to be found; the smallest anchors have 16 to 32 px.
MIN_OBJECT_SIDE = 8
# The fraction of small objects up to which nothing is said.
MAX_SMALL = 0.1
# Image sizes are proposed in steps of this number of pixels, up to a maximum.
SIZE_STEP, MAX_IMAGE_SIZE = 32, 1344
# The largest long side of an image in training, relative to the image size, as in the templates.
LONG_SIDE = 5 / 3
# Names of folders, or words in the names of folders and files, that say which split they contain (lower case).
SPLIT_NAME = re.compile(
    r'(?:(?P<train>train(?:ing)?)|(?P<val>val(?:id(?:ation)?)?|dev)|(?P<test>test(?:ing)?))'
    r'[_\- ]?(?:set|data|images)?\d*'
)
# Roboflow writes augmented copies of an image as NAME.rf.HASH.jpg.
COPY_MARK = '.rf.'
# (path, (width, height), objects) of an image. An object is (class index, dict with COCO's keys such as bbox).
AnnotatedImage = tuple[Path, tuple[int, int], Iterable[tuple[int, dict[str, Any]]]]
Reader = Callable[[Path], AnnotatedImage]


@dataclass
class Split:
    """The images of a split and their annotations.

    Attributes:
        image_folder: The folder that image names are relative to.
        content: The content of a COCO file, or a list of (image name, label). A label is a class index, or the path of
            a segmentation map, relative to ``image_folder``.
        ann_file: The annotation file with this content, or ``None`` if it is not written yet.
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

    def __post_init__(self) -> None:
        check_class_names(self.folder, self.classes)
        if self.has_objects:
            objects = [obj for split in self.splits.values() for obj in split.content['annotations']]
            num_masks = sum(bool(obj.get('segmentation')) for obj in objects)
            used_ids = {obj['category_id'] for obj in objects}
            categories = [category for split in self.splits.values() for category in split.content['categories']]
            self.add_empty_classes({category['name'] for category in categories if category['id'] in used_ids})
            # If nearly all objects have masks, cleaning.py leaves out the objects that have only a box.
            self.annotation_types = ('masks', 'boxes') if num_masks > 0.9 * len(objects) else ('boxes',)

    def add_empty_classes(self, used: set[str]) -> None:
        """Add a note that names the classes without annotations."""
        empty = [name for name in self.classes if name not in used]
        if empty:
            self.notes.append(f'classes without annotations: {shorten(empty, 8)}')

    def add_small_objects(self, image_size: int, tiles: int | None = None) -> None:
        """Add a note if more than a tenth of the training objects are small at an image size in pixels (short side).

        The side of an object is the square root of its box's area. Small is under :data:`MIN_OBJECT_SIDE` pixels.
        Training ignores crowds and objects without area, and invalid sizes are problems of their own. ``tiles`` is the
        side of the tiles that are cut out of images before they are resized.
        """
        content = self.splits['train'].content if self.has_objects else {}
        sizes = {image['id']: (image.get('width'), image.get('height')) for image in content.get('images', ())}
        # The side of a pixel after resizing, relative to image_size.
        sizes = {key: size for key, size in sizes.items() if are_positive(size)}
        sizes = {key: [min(side, tiles or side) for side in size] for key, size in sizes.items()}
        scales = {key: min(1 / min(size), LONG_SIDE / max(size)) for key, size in sizes.items()}
        objects = [obj for obj in content.get('annotations', ()) if not obj.get('iscrowd') and not obj.get('ignore')]
        boxes = [(obj['bbox'][2:], obj['image_id']) for obj in objects if obj['image_id'] in scales]
        sides = sorted(sqrt(prod(box)) * scales[image_id] for box, image_id in boxes if are_positive(box))
        num_small = sum(side * image_size < MIN_OBJECT_SIDE for side in sides)
        if num_small <= MAX_SMALL * len(sides):
            return
        # Nine of ten objects have at least this side.
        needed = ceil(MIN_OBJECT_SIDE / sides[int(MAX_SMALL * len(sides))] / SIZE_STEP) * SIZE_STEP
        advice = (
            f'Train with --image-size {needed}, at which nine of ten are larger, or on tiles of the images (--tiles)'
        )
        if needed > MAX_IMAGE_SIZE:
            advice = 'Train on tiles of the images: --tiles'
        self.notes.append(
            f'{num_small} of {len(sides)} objects for training are smaller than {MIN_OBJECT_SIDE} px when images are '
            f'resized to {image_size} px, or less in training: too small to be found. {advice}'
        )

    def add_missing_classes(self) -> None:
        """Add notes about classes without objects for training, and about a single image for training."""
        train = self.splits['train']
        if self.has_objects:
            ids = {category['id']: category['name'] for category in train.content['categories']}
            present = {obj['category_id'] for obj in train.content['annotations']}
            missing = [name for category_id, name in ids.items() if category_id not in present]
            if missing:
                self.notes.append(f'no training image has an object of {shorten(missing)}, so none will be found')
        if len(train.image_names) == 1:
            self.notes.append('only one image is for training: what is new in other images will not be found')

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

    def split_validation(self) -> None:
        """Hold out a fifth of the training images for validation, unless there is a validation split.

        The images are selected by a hash of their names. So each run selects the same images, and nearly the same
        images after new ones were added. Roboflow's augmented copies of an image stay in one split.

        Raises:
            UserError: There is no training split, or it has only one image.
        """
        if 'train' not in self.splits:
            raise UserError(
                f'{self.folder} has images for {" and ".join(self.splits)}, but none for training. Add images for '
                'training (docs/custom_dataset.md)'
            )
        if 'val' in self.splits:
            return
        train = self.splits['train']
        originals = {name.split(COPY_MARK)[0] for name in train.image_names}
        num_val = max(1, round(VAL_FRACTION * len(originals)))
        if num_val == len(originals):
            raise UserError(
                f'{self.folder} has only one image to train on. Add more: at least one is held out for validation'
            )
        held_out = {*sorted(originals, key=lambda name: hashlib.sha256(name.encode()).digest())[:num_val]}
        val = {index for index, name in enumerate(train.image_names) if name.split(COPY_MARK)[0] in held_out}
        rest = {*range(len(train.image_names))} - val
        self.splits |= {'train': train.select(rest), 'val': train.select(val)}
        self.notes.append(f'no val split: {len(val)} of {len(train.image_names)} images are held out for validation')


def are_positive(sides: Sequence[Any]) -> bool:
    """Return whether all sides of an image or a box are finite numbers over 0."""
    return all(isinstance(side, Real) and 0 < side < inf for side in sides)


def check_class_names(folder: Path, classes: Sequence[str]) -> None:
    """Raise a UserError for empty names, and for names that differ only in case, blanks or their Unicode form.

    Such names are nearly always one class. macOS, for example, writes an umlaut as two characters.
    """
    seen: dict[str, str] = {}
    for name in classes:
        form = ' '.join(unicodedata.normalize('NFKC', name).casefold().split())
        if not form or form in seen:
            same = f'{seen[form]!r} and {name!r}, equal but for case, blanks or Unicode form' if form else repr(name)
            raise UserError(f'{folder} has the classes {same}. Give each class a name of its own')
        seen[form] = name


def list_splits(path: Path) -> list[tuple[str, str]]:
    """Return (split, name) of each name in a path that names one split: ``[('train', 'train2017')]``."""
    splits = []
    for name in path.parts:
        words = (name.lower(), *re.split(r'[_.\- ]', name.lower()))
        named = {match.lastgroup for match in map(SPLIT_NAME.fullmatch, words) if match}
        splits += [(split, name) for split in named if len(named) == 1]
    return splits


def find_split(path: Path) -> str | None:
    """Return the split that a path names ('train' for train2017/a.jpg), or None. The last name with a split counts."""
    return next((split for split, _ in reversed(list_splits(path))), None)


def assign_splits(folder: Path, files: Sequence[Path]) -> dict[Path, str]:
    """Return the split of each file, by the names of its folders. Without such a name, it is ``'train'``.

    Raises:
        UserError: The folders of a file name several splits, or folders of different names are of one split.
    """
    # A folder that contains all files names no split, unless it is the only one that does.
    depth = len(Path(os.path.commonpath([file.parent for file in files])).parts) if files else 0
    names: dict[str, str] = {}
    splits = {}
    for file in files:
        named = list_splits(Path(*file.parent.parts[depth:]))
        for split, name in named:
            if split != named[0][0] or names.setdefault(split, name) != name:
                other = named[0][1] if split != named[0][0] else names[split]
                raise UserError(
                    f'{folder / file.parent}: the split is ambiguous, because there are folders {other!r} and {name!r}.'
                    ' Rename or move one of them'
                )
        splits[file] = named[0][0] if named else find_split(Path(*file.parent.parts[:depth])) or 'train'
    return splits


def count_steps(first: Path, second: Path) -> int:
    """Return in how many names two folders differ, apart from those with which both begin or end."""
    names = [[*first.parts], [*second.parts]]
    for end in (0, -1):
        while all(names) and names[0][end] == names[1][end]:
            del names[0][end], names[1][end]
    return len(names[0]) + len(names[1])


def make_split(
    folder: Path, classes: Sequence[str], files: Iterable[Path], read_image: Reader, problems: list[str]
) -> Split:
    """Make a split with COCO annotations, and add a message to ``problems`` for each file that cannot be read.

    Image names are relative to ``folder``, or absolute if the image is outside of it.
    """
    content = {'images': [], 'annotations': [], 'categories': make_coco_categories(classes)}
    folder = folder.resolve()
    for image_id, file in enumerate(files, start=1):
        try:
            path, (width, height), objects = read_image(file)
        except UserError as error:
            problems.append(str(error))
            continue
        path = path.resolve()
        name = str(path.relative_to(folder) if path.is_relative_to(folder) else path)
        content['images'].append({'id': image_id, 'file_name': name, 'width': width, 'height': height})
        for label, entries in objects:
            ids = {'id': len(content['annotations']) + 1, 'image_id': image_id}
            content['annotations'].append({**ids, 'category_id': content['categories'][label]['id'], **entries})
    return Split(folder, content)


def write_annotations(dataset: DatasetInfo, folder: Path) -> None:
    """Create ``folder`` and write an annotation file into it for each split that has none."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, split in dataset.splits.items():
        if split.ann_file is not None:
            continue
        is_coco = isinstance(split.content, dict)
        split.ann_file = folder / f'{name}{".json" if is_coco else ".txt"}'
        # mmpretrain's CustomDataset expects a space between image name and label, PairedSegDataset a tab.
        separator = '\t' if dataset.annotation_types == ('seg_maps',) else ' '
        # CustomDataset removes blanks at the beginning of a line.
        lines = ('./' * pair[0][0].isspace() + separator.join(pair) + '\n' for pair in split.content)
        text = json.dumps(split.content) if is_coco else ''.join(lines)
        split.ann_file.write_text(text, encoding='utf-8')


def raise_unreadable(error: OSError) -> None:
    raise UserError(f'{error.filename} cannot be read ({error.strerror}). Change its permissions')


def list_files(folder: Path) -> list[Path]:
    """Return the files below a folder, sorted, as paths relative to it. Skip hidden files and Synology's thumbnails.

    Links to folders are followed, but each folder is listed once: at its own path or, if that is outside of ``folder``,
    at the first link to it.
    """
    # A link to a folder above would list this folder again.
    files, seen, tops = [], {*map(str, folder.resolve().parents)}, deque([folder])
    while tops:
        for parent, folders, names in os.walk(tops.popleft(), onerror=raise_unreadable):
            real = os.path.realpath(parent)
            is_skipped = real in seen
            seen.add(real)
            folders[:] = [name for name in sorted(folders) if not (is_skipped or name.startswith(('.', '@eaDir')))]
            tops.extend(path for path in (Path(parent, name) for name in folders) if path.is_symlink())
            visible = (name for name in names if not (is_skipped or name.startswith('.')))
            paths = (Path(parent, name) for name in visible)
            # Leave out pipes and devices, which would be waited for. Dangling links are missing files.
            files += [path.relative_to(folder) for path in paths if path.is_file() or not path.exists()]
    # The files of a folder come before its folders.
    return sorted(files, key=lambda path: [*((1, name) for name in path.parts[:-1]), (0, path.name)])
