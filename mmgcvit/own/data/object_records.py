"""The records of images and splits of any kind, and those of images with boxes or masks of objects,
with the COCO file of them.

Records are not changed: functions return new ones.
"""

import json
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from ...datasets.annotations import (
    Id,
    ImageObjects,
    Json,
    JsonObject,
    LabelledObject,
    Rle,
    Size,
    Unusable,
    get_sides,
)
from ...datasets.coco_categories import make_coco_categories
from ...host.files import make_portable_path, write_text

AnyImage = TypeVar('AnyImage', bound='LabelledImage')
Image_co = TypeVar('Image_co', bound='LabelledImage', covariant=True)
AnySplit = TypeVar('AnySplit', bound='SplitImages[LabelledImage]')
ClassNames = Mapping[str, str]  # other names of classes, by their names so far


@dataclass(frozen=True)
class LabelledImage(ABC):
    """An image of any split. ``name`` is its path, relative to the split's folder of images."""

    name: str
    # Whether a model made its labels and nobody has corrected them (``origins.py``).
    is_uncorrected: bool = field(default=False, kw_only=True)
    # The path by which series are found, if it isn't the name.
    series_name: str = field(default='', kw_only=True)

    def move(self: AnyImage, old: Path, new: Path) -> AnyImage:
        """Return the image with paths relative to another folder than so far."""
        return replace(self, name=make_relative(old / self.name, new))

    @abstractmethod
    def rename_classes(self: AnyImage, names: ClassNames, classes: Sequence[str]) -> AnyImage:
        """Return the image with other names of classes, and their indices among ``classes``.

        ``names`` has those of all classes so far, in the order of their indices.
        """


@dataclass(frozen=True)
class ObjectImage(LabelledImage, ImageObjects):
    """An image with boxes or masks of objects."""

    id: Id = field(kw_only=True)  # 1, 2, ... in the order of a split's files
    others: JsonObject = field(default_factory=dict)  # other keys of COCO's entry

    def rename_classes(self, names: ClassNames, classes: Sequence[str]) -> 'ObjectImage':
        objects = [replace(each, class_name=names[each.class_name]) for each in self.objects]
        return replace(self, objects=objects)


@dataclass(frozen=True)
class Category:
    """A class in a COCO file."""

    id: Id
    name: str
    others: JsonObject = field(default_factory=dict)  # other keys of COCO's entry


@dataclass(frozen=True)
class SplitImages(Generic[Image_co]):
    """The images of a split, all of one type."""

    image_folder: Path
    images: Sequence[Image_co]

    @property
    def image_names(self) -> list[str]:
        """The names of the images, relative to ``image_folder``."""
        return [image.name for image in self.images]

    @property
    def image_paths(self) -> list[Path]:
        """The paths of the images."""
        return [self.image_folder / name for name in self.image_names]

    @property
    def num_uncorrected(self) -> int:
        """The number of images whose labels a model made and nobody has corrected."""
        return sum(image.is_uncorrected for image in self.images)

    def select(self: AnySplit, indices: Collection[int]) -> AnySplit:
        """Return a split with only the images at these indices."""
        return replace(self, images=[self.images[index] for index in sorted(indices)])

    def move(self: AnySplit, folder: Path) -> AnySplit:
        """Return the split with paths relative to another folder."""
        images = [image.move(self.image_folder, folder) for image in self.images]
        return replace(self, image_folder=folder, images=images)

    def rename_classes(self: AnySplit, names: ClassNames, classes: Sequence[str]) -> AnySplit:
        """Return the split with other names of classes (:meth:`LabelledImage.rename_classes`)."""
        return replace(self, images=[image.rename_classes(names, classes) for image in self.images])

    def list_series_names(self) -> list[str]:
        """Return the paths of images by which series are found across folders.

        The folders that a layout asks for, such as images/train, differ from one folder to the
        next. Those in which images are sorted, such as one for each camera, stay.
        """
        # Some paths may be relative to the split's folder, others absolute.
        files = [self.image_folder / image.name for image in self.images]
        parents = {file.parent for file in files}
        common = os.path.commonpath(parents) if parents else ''
        return [os.path.relpath(file, common or '.') for file in files]

    def name_series(self: AnySplit) -> AnySplit:
        """Return the split whose images have the names of :meth:`list_series_names`."""
        named = zip(self.images, self.list_series_names(), strict=True)
        return replace(self, images=[replace(image, series_name=name) for image, name in named])

    def join(self: AnySplit, others: Sequence[AnySplit]) -> AnySplit:
        """Return a split with the images of splits that have one folder and the same classes."""
        return replace(self, images=[image for split in (self, *others) for image in split.images])


@dataclass(frozen=True)
class ObjectSplit(SplitImages[ObjectImage]):
    """The images of a split with boxes or masks of objects."""

    categories: Sequence[Category]  # ordered by class index
    annotation_file: Path | None = None  # of the split, if it has one for all images

    @property
    def sizes(self) -> list[Size | Unusable]:
        """The annotated (width, height) of each image."""
        return [image.size for image in self.images]

    @property
    def objects(self) -> list[LabelledObject]:
        """The objects of all images, without ignored ones."""
        return [each for _, each in self.iter_objects() if not each.is_ignored]

    @property
    def num_annotations(self) -> int:
        """The number of objects, also of ignored ones."""
        return sum(len(image.objects) for image in self.images)

    def iter_objects(self) -> Iterator[tuple[ObjectImage, LabelledObject]]:
        """Yield each object with its image, also ignored ones."""
        for image in self.images:
            for each in image.objects:
                yield image, each

    def rename_classes(self, names: ClassNames, classes: Sequence[str]) -> 'ObjectSplit':
        renamed = super().rename_classes(names, classes)
        categories = [
            Category(entry['id'], entry['name']) for entry in make_coco_categories(classes)
        ]
        return replace(renamed, categories=categories)

    def join(self, others: Sequence['ObjectSplit']) -> 'ObjectSplit':
        """Number images and objects from 1 on. The split has no annotation file of its own."""
        joined = super().join(others)
        return replace(joined, images=number_images(joined.images), annotation_file=None)

    def list_classes(self) -> list[Counter[str]]:
        """Return the number of objects of each class in each image, without ignored ones."""
        return [
            Counter(each.class_name for each in image.objects if not each.is_ignored)
            for image in self.images
        ]

    def count_classes(self) -> Counter[str]:
        """Return the number of objects of each class, without ignored ones."""
        return Counter(each.class_name for each in self.objects)

    def write(self, folder: Path, name: str) -> dict[str, str]:
        """Write the annotation file that OpenMMLab's dataset of this type reads.

        ``name`` is that of the split. Return a template's variables for it.
        """
        file = folder / f'{name}.json'
        write_text(file, json.dumps(make_coco_content(self)))
        return {
            f'{name}_images': make_portable_path(self.image_folder),
            f'{name}_annotations': make_portable_path(file),
        }


def make_relative(path: Path, folder: Path) -> str:
    """Return a path relative to a folder or, if it is elsewhere (by a link), absolute."""
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def number_images(images: Sequence[ObjectImage]) -> list[ObjectImage]:
    """Return images and objects with ids from 1 on."""
    numbered = []
    num_objects = 0
    for image_id, image in enumerate(images, start=1):
        objects = []
        for each in image.objects:
            num_objects += 1
            objects.append(replace(each, id=num_objects))
        numbered.append(replace(image, id=image_id, objects=objects))
    return numbered


def make_coco_content(split: ObjectSplit) -> dict[str, list[dict[str, Any]]]:
    """Return the content of the COCO file of a split. Annotations are in the order of their ids."""
    category_ids = {category.name: category.id for category in split.categories}
    images = []
    annotations: list[dict[str, Any]] = []
    for image in split.images:
        width, height = get_sides(image.size)
        entry = {'id': image.id, 'file_name': image.name, 'width': width, 'height': height}
        images.append({**image.others, **entry})
        annotations += [
            make_coco_annotation(each, image.id, category_ids[each.class_name])
            for each in image.objects
        ]
    categories = [
        {**category.others, 'id': category.id, 'name': category.name}
        for category in split.categories
    ]
    annotations.sort(key=lambda annotation: annotation['id'])
    return {'images': images, 'annotations': annotations, 'categories': categories}


def make_coco_annotation(each: LabelledObject, image_id: Id, category_id: Id) -> dict[str, Json]:
    """Return the entry of an object in a COCO file's annotations."""
    entry = {
        'id': each.id,
        'image_id': image_id,
        'category_id': category_id,
        'bbox': each.box.value if isinstance(each.box, Unusable) else each.box.values,
        'area': each.area.value if isinstance(each.area, Unusable) else each.area,
        'iscrowd': int(each.is_ignored),
    }
    if isinstance(each.mask, Rle):
        entry['segmentation'] = each.mask.entry
    elif each.mask is not None:
        entry['segmentation'] = each.mask.value if isinstance(each.mask, Unusable) else each.mask
    return {**each.others, **entry}
