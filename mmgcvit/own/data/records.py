"""The records into which readers turn a folder of data: splits of images with classes or maps, and
the dataset of them. Those with objects are in ``object_records.py``.

:class:`.ObjectSplit`, :class:`ClassSplit` and :class:`MapSplit` have one interface: names and paths
of images, their classes, a selection of them, other names of classes and folders, and the file that
OpenMMLab's datasets read. Only an ObjectSplit has objects. Records are not changed: functions
return new ones.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath

from ...datasets.label_maps import IGNORE_INDEX
from ...datasets.rules.rule import Finding
from ...errors import escape_controls, format_count, shorten
from ...host.files import make_portable_path, write_image, write_text
from .label_maps import PixelLabels, read_labels
from .object_records import (
    ClassNames,
    LabelledImage,
    ObjectSplit,
    SplitImages,
    make_relative,
)


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
