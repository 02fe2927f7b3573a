"""The records into which readers turn a dataset: images with objects, or images with labels.

:class:`ObjectSplit` and :class:`LabelSplit` have one interface: names, paths and sizes of images,
their classes, a selection of them, and the file that OpenMMLab's datasets read. Records are not
changed: functions return new ones.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import escape_controls, format_count, shorten
from ..files import make_portable_path, write_image, write_text
from .decoding import PixelLabels, Size, read_labels

Entry = dict  # an entry of a COCO file's images, annotations or categories
MAX_COORDINATE = 1e9  # larger coordinates are not read as numbers
OBJECT_TYPES = ('masks', 'boxes')  # types of annotations
# Values of COCO's iscrowd and ignore and VOC's difficult, in lower case, as tools write them.
FALSE_FLAGS = ('', '0', '0.0', 'false', 'none', 'unspecified')
TRUE_FLAGS = ('1', '1.0', 'true')


@dataclass(frozen=True)
class SplitImages:
    """The images of a split, of either type."""

    image_folder: Path
    images: Sequence[Entry]  # with file_name, which is relative to image_folder

    @property
    def image_names(self) -> list[str]:
        """The names of the images, relative to ``image_folder``."""
        return [image['file_name'] for image in self.images]

    @property
    def image_paths(self) -> list[Path]:
        """The paths of the images."""
        return [self.image_folder / name for name in self.image_names]

    def select(self, indices: Collection[int]) -> 'Split':
        """Return a split with only the images at these indices."""
        return replace(self, images=[self.images[index] for index in sorted(indices)])

    def count_classes(self) -> Counter[str]:
        """Return the number of objects of each class; of labelled images, that of images."""
        counts = Counter()
        for classes in self.list_classes():
            counts.update(classes)  # a Counter of objects, or a set, whose elements count once
        return counts


@dataclass(frozen=True)
class ObjectSplit(SplitImages):
    """The images of a split with boxes or masks of objects, as COCO's file lists them.

    An image also has an id, a width and a height.
    """

    annotations: Sequence[Entry]  # id, image_id, category_id, bbox, area, iscrowd, segmentation
    categories: Sequence[Entry]  # id, name

    @property
    def sizes(self) -> list[Size]:
        """The annotated (width, height) of each image."""
        return [(image['width'], image['height']) for image in self.images]

    @property
    def objects(self) -> list[Entry]:
        """The annotations without those of ignored objects."""
        return [annotation for annotation in self.annotations if not annotation.get('iscrowd')]

    def iter_annotations(self) -> Iterator[tuple[Entry, Entry]]:
        """Yield each annotation with its image."""
        images = {image['id']: image for image in self.images}
        for annotation in self.annotations:
            yield annotation, images[annotation['image_id']]

    def list_classes(self) -> list[Counter[str]]:
        """Return the number of objects of each class in each image, without ignored ones."""
        names = {category['id']: category['name'] for category in self.categories}
        found = {image['id']: Counter() for image in self.images}
        for annotation in self.objects:
            found[annotation['image_id']][names[annotation['category_id']]] += 1
        return list(found.values())

    def select(self, indices: Collection[int]) -> 'ObjectSplit':
        split = super().select(indices)
        ids = {image['id'] for image in split.images}
        annotations = [entry for entry in self.annotations if entry['image_id'] in ids]
        return replace(split, annotations=annotations)

    def write(self, folder: Path, name: str) -> dict[str, str]:
        """Write the annotation file that OpenMMLab's dataset of this type reads.

        ``name`` is that of the split. Return a template's variables for it.
        """
        file = folder / f'{name}.json'
        content = {
            'images': self.images,
            'annotations': self.annotations,
            'categories': self.categories,
        }
        write_text(file, json.dumps(content))
        return {
            f'{name}_images': make_portable_path(self.image_folder),
            f'{name}_annotations': make_portable_path(file),
        }


@dataclass(frozen=True)
class LabelSplit(SplitImages):
    """The images of a split with a label each: a class index, or the path of a semantic map.

    Beside ``file_name``, an image has ``label``, which is written behind its name, and ``classes``,
    the names of the classes in it. The path of a map is relative to ``image_folder``.
    """

    pixel_labels: PixelLabels | None = None  # those of all maps
    # Not fields. There are no objects, so rules for objects find nothing.
    objects = annotations = ()

    @property
    def sizes(self) -> list[None]:
        """The annotated sizes, which are unknown."""
        return [None] * len(self.images)

    def list_classes(self) -> list[set[str]]:
        """Return the names of the classes in each image."""
        return [image['classes'] for image in self.images]

    def write(self, folder: Path, name: str) -> dict[str, str]:
        file = folder / f'{name}.txt'
        images = make_portable_path(self.image_folder)
        variables = {f'{name}_images': images, f'{name}_list': make_portable_path(file)}
        separator = ' '  # which mmpretrain's CustomDataset expects
        are_converted = False
        if self.pixel_labels:
            are_converted = not self.pixel_labels.are_identical
            variables[f'{name}_labels'] = '' if are_converted else images
            separator = '\t'  # which PairedSegDataset expects
        text = ''
        for image in self.images:
            label = image['label']
            if are_converted:
                label = self.convert_map(label, folder / name)
            # CustomDataset removes blanks at the beginning of a line.
            start = './' if image['file_name'][0].isspace() else ''
            text += f'{start}{image["file_name"]}{separator}{label}\n'
        write_text(file, text)
        return variables

    def convert_map(self, name: str, folder: Path) -> str:
        """Write a map whose values are class indices into a folder, and return its path.

        ``name`` is the path of the map to convert, relative to ``image_folder``.
        """
        pixels = read_labels(self.image_folder / name, self.pixel_labels)
        target = (folder / name).with_suffix('.png')
        return make_portable_path(write_image(target, pixels))


Split = ObjectSplit | LabelSplit


class DatasetInfo(NamedTuple):
    """A dataset of any format, with its classes and splits."""

    folder: Path
    format: str  # its name, for messages
    # What can be trained on, the default first: 'masks', 'boxes', 'seg_maps' (of pixels) or
    # 'classes' (of images).
    annotation_types: tuple[str, ...]
    classes: tuple[str, ...]  # names, ordered by class index
    splits: dict[str, Split]  # 'train' and, if they exist, 'val' and 'test'
    notes: Sequence[str] = ()  # messages for the user
    # All that a reader could not parse, or read with a note, by rule.
    problems: Mapping[Any, Sequence[str]] = {}
    maps: Sequence[Path] = ()  # those of the images, relative to ``folder``

    def add_notes(self, notes: Iterable[str]) -> 'DatasetInfo':
        """Return the dataset with further notes."""
        return self._replace(notes=(*self.notes, *notes))

    def __str__(self) -> str:
        counts = [
            f'{format_count(len(split.image_names), "image")} ({name})'
            for name, split in self.splits.items()
        ]
        if self.annotation_types[0] in OBJECT_TYPES:
            splits = self.splits.values()
            num_objects = sum(len(split.objects) for split in splits)
            num_ignored = sum(len(split.annotations) for split in splits) - num_objects
            text = f'{num_objects} objects'
            if num_ignored:
                text += f', {num_ignored} ignored (difficult or crowds)'
            num_empty = self.splits['train'].list_classes().count(Counter())
            if num_empty:
                images = format_count(num_empty, 'training image')
                text += f' ({images} without objects: background in training)'
            counts.append(text)
        classes = f'{len(self.classes)} classes ({shorten(self.classes, 8)})'
        first_line = f'{self.folder}: {self.format}, {", ".join(counts)}, {classes}'
        return escape_controls('\n'.join([first_line, *self.notes]))


def are_numbers(values: Any) -> bool:
    """Return whether a value is a list of finite numbers, not larger than a coordinate can be."""
    if not isinstance(values, list) or not {*map(type, values)} <= {int, float}:
        return False
    # In C: a file has millions of coordinates. Comparisons miss a NaN that is not first, a sum does
    # not.
    is_small = not values or (max(values) <= MAX_COORDINATE and min(values) >= -MAX_COORDINATE)
    return is_small and not isnan(sum(values))


def parse_flag(value: Any) -> int | None:
    """Return a flag as 0 or 1, or None if it is neither. A missing flag (None) is 0."""
    text = str(value).lower()
    if text in FALSE_FLAGS:
        return 0
    return 1 if text in TRUE_FLAGS else None


def list_coco_categories() -> list[Entry]:
    """Return COCO's categories, as torchvision lists them: 80 classes, ids from 1 to 90."""
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    names = enumerate(MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta['categories'])
    return [{'id': i, 'name': name} for i, name in names if name not in ('__background__', 'N/A')]


def make_coco_categories(names: Sequence[str]) -> list[Entry]:
    """Return COCO's categories for class names.

    Ids are 1, 2, ..., but for COCO's 80 names COCO's own, so that predictions fit its files.
    """
    if len(names) == 80:
        coco = list_coco_categories()
        if list(names) == [category['name'] for category in coco]:
            return coco
    return [{'id': category_id, 'name': name} for category_id, name in enumerate(names, start=1)]
