"""The records into which readers turn a dataset: splits of images with objects, classes or maps.

:class:`ObjectSplit`, :class:`ClassSplit` and :class:`MapSplit` have one interface: names and paths
of images, their classes, a selection of them, other names of classes and folders, and the file that
OpenMMLab's datasets read. Only an ObjectSplit has objects. Records are not changed: functions
return new ones.
"""

import json
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Generic, TypedDict, TypeVar

from ..errors import escape_controls, format_count, shorten
from ..host.files import make_portable_path, write_image, write_text
from .annotations import Id, Json, JsonObject, LabelledObject, Rle, Size, Unusable
from .label_maps import IGNORE_INDEX, PixelLabels, read_labels
from .rules.rule import Finding

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
class ObjectImage(LabelledImage):
    """An image with boxes or masks of objects."""

    id: Id  # 1, 2, ... in the order of a split's files; in a config's file any
    size: Size | Unusable  # as annotated
    objects: Sequence[LabelledObject] = ()
    others: JsonObject = field(default_factory=dict)  # other keys of COCO's entry

    def rename_classes(self, names: ClassNames, classes: Sequence[str]) -> 'ObjectImage':
        objects = [replace(each, class_name=names[each.class_name]) for each in self.objects]
        return replace(self, objects=objects)


@dataclass(frozen=True)
class ClassImage(LabelledImage):
    """An image with a class."""

    label: int  # the index of its class
    class_name: str

    def rename_classes(self, names: ClassNames, classes: Sequence[str]) -> 'ClassImage':
        name = names[self.class_name]
        return replace(self, class_name=name, label=classes.index(name))


@dataclass(frozen=True)
class MapImage(LabelledImage):
    """An image with a semantic map."""

    map_name: str  # the path of the map, relative to the split's folder of images
    classes: frozenset[str]  # the names of the classes in the map
    pixel_labels: PixelLabels  # what the pixels of the map stand for

    def move(self, old: Path, new: Path) -> 'MapImage':
        return replace(super().move(old, new), map_name=make_relative(old / self.map_name, new))

    def rename_classes(self, names: ClassNames, classes: Sequence[str]) -> 'MapImage':
        labels = [classes.index(name) for name in names.values()]  # by those so far
        by_value = {
            value: label if label == IGNORE_INDEX else labels[label]
            for value, label in self.pixel_labels.by_value.items()
            if label == IGNORE_INDEX or label < len(labels)
        }
        return replace(
            self,
            classes=frozenset(names[name] for name in self.classes),
            pixel_labels=PixelLabels(by_value, self.pixel_labels.are_colours),
        )


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


@dataclass(frozen=True)
class ClassSplit(SplitImages[ClassImage]):
    """The images of a split with a class each."""

    def list_series_names(self) -> list[str]:
        """Return the class and the file's name of each image."""
        return [str(PurePath(image.class_name, Path(image.name).name)) for image in self.images]

    def list_classes(self) -> list[set[str]]:
        """Return the name of the class of each image, as a set."""
        return [{image.class_name} for image in self.images]

    def count_classes(self) -> Counter[str]:
        """Return the number of images of each class."""
        return Counter(image.class_name for image in self.images)

    def write(self, folder: Path, name: str) -> dict[str, str]:
        """Write the list that mmpretrain's CustomDataset reads. As :meth:`ObjectSplit.write`."""
        lines = [f'{escape_blanks(image.name)} {image.label}\n' for image in self.images]
        return write_list(self.image_folder, lines, folder, name)


@dataclass(frozen=True)
class MapSplit(SplitImages[MapImage]):
    """The images of a split with a semantic map each."""

    def list_classes(self) -> list[frozenset[str]]:
        """Return the names of the classes in the map of each image."""
        return [image.classes for image in self.images]

    def count_classes(self) -> Counter[str]:
        """Return the number of images with each class."""
        return Counter(name for image in self.images for name in image.classes)

    def write(self, folder: Path, name: str) -> dict[str, str]:
        """Write the list that PairedSegDataset reads. As :meth:`ObjectSplit.write`.

        If the values of a map are not class indices, all maps are written into the folder too, with
        values that are.
        """
        are_converted = not all(image.pixel_labels.are_identical for image in self.images)
        lines = []
        for image in self.images:
            path = image.map_name
            if are_converted:
                path = self.convert_map(image, folder / name)
            lines.append(f'{escape_blanks(image.name)}\t{path}\n')
        variables = write_list(self.image_folder, lines, folder, name)
        maps = '' if are_converted else variables[f'{name}_images']
        return {**variables, f'{name}_labels': maps}

    def convert_map(self, image: MapImage, folder: Path) -> str:
        """Write the map of an image with values that are class indices into a folder, and return
        its path.
        """
        pixels = read_labels(self.image_folder / image.map_name, image.pixel_labels)
        target = (folder / image.map_name).with_suffix('.png')
        return make_portable_path(write_image(target, pixels))


Split = ObjectSplit | ClassSplit | MapSplit


@dataclass(frozen=True)
class DatasetInfo:
    """A dataset of any format, with its classes and splits."""

    folder: Path
    format: str  # its name, for messages
    # What can be trained on, the default first: 'masks', 'boxes', 'seg_maps' (of pixels) or
    # 'classes' (of images).
    annotation_types: tuple[str, ...]
    classes: tuple[str, ...]  # names, ordered by class index
    splits: Mapping[str, Split]  # 'train' and, if they exist, 'val' and 'test'
    notes: Sequence[str] = ()  # messages for the user
    findings: Sequence[Finding] = ()  # what a reader could not parse, or read with a note
    maps: Sequence[Path] = ()  # those of the images, relative to ``folder``
    models: Sequence[str] = ()  # those that made some of its labels (``origins.py``)
    has_class_names: bool = True  # or whether the folder has none, and they are made up
    # The SHA-256 of images whose content was asked for already, by their paths without links
    digests: Mapping[Path, str] = field(default_factory=dict)
    # The folders that were united to this dataset (``uniting.py``). Then ``folder`` contains them.
    united: Sequence[Path] = ()

    @property
    def folders(self) -> Sequence[Path]:
        """The folders of the dataset, in the order in which they were given."""
        return self.united or (self.folder,)

    @property
    def place(self) -> str:
        """The folders of the dataset, for messages."""
        return ' and '.join(map(str, self.folders))

    def add_notes(self, notes: Iterable[str]) -> 'DatasetInfo':
        """Return the dataset with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    @property
    def object_splits(self) -> dict[str, ObjectSplit]:
        """The splits whose images have objects: all or none."""
        return {
            name: split for name, split in self.splits.items() if isinstance(split, ObjectSplit)
        }

    def describe(self) -> str:
        """Return the folder, the format and what is in it, in a line."""
        counts = [
            f'{format_count(len(split.images), "image")} ({name})'
            for name, split in self.splits.items()
        ]
        if self.object_splits:
            counts.append(describe_objects(self.object_splits))
        classes = f'{len(self.classes)} classes ({shorten(self.classes, 8)})'
        return f'{self.place}: {self.format}, {", ".join(counts)}, {classes}'

    def __str__(self) -> str:
        return escape_controls('\n'.join([self.describe(), *self.notes]))


def describe_objects(splits: Mapping[str, ObjectSplit]) -> str:
    """Return the number of objects, and those of ignored objects and of images without objects."""
    num_objects = sum(len(split.objects) for split in splits.values())
    num_ignored = sum(split.num_annotations for split in splits.values()) - num_objects
    text = f'{num_objects} objects'
    if num_ignored:
        text += f', {num_ignored} ignored (difficult or crowds)'
    num_empty = splits['train'].list_classes().count(Counter())
    if num_empty:
        images = format_count(num_empty, 'training image')
        text += f' ({images} without objects: background in training)'
    return text


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


def escape_blanks(name: str) -> str:
    """Return the name of an image for a list: CustomDataset removes blanks at its beginning."""
    return f'./{name}' if name[0].isspace() else name


def write_list(image_folder: Path, lines: Sequence[str], folder: Path, name: str) -> dict[str, str]:
    """Write the list of a split's images, and return a template's variables for it.

    Args:
        image_folder: The folder of the images.
        lines: A line for each image.
        folder: The folder in which the list is written.
        name: The name of the split.
    """
    file = folder / f'{name}.txt'
    write_text(file, ''.join(lines))
    return {
        f'{name}_images': make_portable_path(image_folder),
        f'{name}_list': make_portable_path(file),
    }


class CocoCategory(TypedDict):
    """An entry of a COCO file's categories."""

    id: int
    name: str


def make_coco_content(split: ObjectSplit) -> dict[str, list[dict[str, Json]]]:
    """Return the content of the COCO file of a split. Annotations are in the order of their ids."""
    category_ids = {category.name: category.id for category in split.categories}
    images = []
    annotations = []
    for image in split.images:
        width, height = image.size.value if isinstance(image.size, Unusable) else image.size
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


def list_coco_categories() -> list[CocoCategory]:
    """Return COCO's categories, as torchvision lists them: 80 classes, ids from 1 to 90."""
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    names = enumerate(MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta['categories'])
    return [{'id': i, 'name': name} for i, name in names if name not in ('__background__', 'N/A')]


def make_coco_categories(names: Sequence[str]) -> list[CocoCategory]:
    """Return COCO's categories for class names.

    Ids are 1, 2, ..., but for COCO's 80 names, in any order, COCO's own, so that predictions fit
    its files. This holds for the data of all formats, and for predictions.
    """
    if len(names) == 80:
        ids = {category['name']: category['id'] for category in list_coco_categories()}
        if ids.keys() == set(names):
            return [{'id': ids[name], 'name': name} for name in names]
    return [{'id': category_id, 'name': name} for category_id, name in enumerate(names, start=1)]
