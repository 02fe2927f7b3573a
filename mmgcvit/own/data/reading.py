"""Read the files of many images in threads, and make splits of their objects."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ...datasets.annotations import Box, LabelledObject, Mask, Size, Unusable
from ...datasets.coco_categories import make_coco_categories
from ...errors import UserError
from ...host.files import make_absolute
from .object_records import Category, ObjectImage, ObjectSplit

Source = TypeVar('Source')  # an image and its file, for example
Result = TypeVar('Result')


@dataclass(frozen=True)
class ReadObject:
    """An object as the file of an image has it."""

    class_name: str
    box: Box | Unusable
    area: float | Unusable  # in square pixels
    mask: Mask | Unusable | None = None
    is_ignored: bool = False


@dataclass(frozen=True)
class AnnotatedImage:
    """An image with its objects."""

    path: Path
    size: Size
    objects: Sequence[ReadObject] = ()
    problems: Sequence[str] = ()  # objects that are not parsed, or that are read with a note


@dataclass(frozen=True)
class ReadSplits(Generic[Result]):
    """What was read for each split, and why other files could not be read."""

    by_split: Mapping[str, Sequence[Result]]
    errors: Mapping[str, Sequence[str]]  # by split too


def read_splits(
    read: Callable[[Source], Result], by_split: Mapping[str, Iterable[Source]]
) -> ReadSplits[Result]:
    """Call ``read`` with each pair of an image and its file, in threads.

    The messages of the UserErrors that it raises are in ``errors``. Other errors are faults of this
    package, and are raised.
    """
    found: dict[str, list[Result]] = {}
    errors: dict[str, list[str]] = {}
    with ThreadPoolExecutor() as pool:
        for split, files in by_split.items():
            found[split] = []
            errors[split] = []
            for reading in [pool.submit(read, file) for file in files]:
                try:
                    found[split].append(reading.result())
                except UserError as error:
                    errors[split].append(str(error))
    return ReadSplits(found, errors)


def make_splits(
    folder: Path, classes: Sequence[str], found: Mapping[str, Iterable[AnnotatedImage]]
) -> dict[str, ObjectSplit]:
    """Return splits of images with objects.

    Args:
        folder: The dataset's folder, to which the names of images become relative.
        classes: All class names of the dataset, in their order.
        found: The images of each split, whose objects have these classes.
    """
    categories = [Category(entry['id'], entry['name']) for entry in make_coco_categories(classes)]
    root = make_absolute(folder)
    splits = {}
    for split, annotated_images in found.items():
        images = []
        num_objects = 0
        for image_id, annotated in enumerate(annotated_images, start=1):
            path = make_absolute(annotated.path)
            name = str(path.relative_to(root) if path.is_relative_to(root) else path)
            objects = []
            for each in annotated.objects:
                num_objects += 1
                objects.append(number_object(each, num_objects))
            images.append(ObjectImage(name, annotated.size, objects, id=image_id))
        splits[split] = ObjectSplit(folder.resolve(), images, categories)
    return splits


def number_object(each: ReadObject, object_id: int) -> LabelledObject:
    """Return an object with its id in a split."""
    return LabelledObject(
        id=object_id,
        class_name=each.class_name,
        box=each.box,
        area=each.area,
        mask=each.mask,
        is_ignored=each.is_ignored,
    )


def list_problems(found: Mapping[str, Iterable[AnnotatedImage]]) -> dict[str, list[str]]:
    """Return the problems of all images, by split."""
    return {
        split: [problem for image in images for problem in image.problems]
        for split, images in found.items()
    }
