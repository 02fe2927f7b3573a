"""Read the files of many images in threads, and make splits of their objects."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError
from ..files import make_absolute
from .records import Entry, ObjectSplit, Size, make_coco_categories


class AnnotatedImage(NamedTuple):
    """An image with its objects, each a class name and a dict with COCO's keys.

    Objects of Pascal VOC first have ``corners``, and later a ``bbox`` instead.
    """

    path: Path
    size: Size
    objects: Sequence[tuple[str, Entry]] = ()
    problems: Sequence[str] = ()  # objects that are not parsed, or that are read with a note


def read_splits(
    read: Callable, by_split: Mapping[str, Iterable]
) -> tuple[dict[str, list], list[str]]:
    """Call ``read`` with each pair of an image and its file, in threads.

    Returns:
        The results by split, and the messages of the UserErrors that ``read`` raised instead.
    """
    found = {}
    errors = []
    with ThreadPoolExecutor() as pool:
        for split, files in by_split.items():
            found[split] = []
            for reading in [pool.submit(read, file) for file in files]:
                try:
                    found[split].append(reading.result())
                except UserError as error:
                    errors.append(str(error))
    return found, errors


def make_splits(
    folder: Path, classes: Sequence[str], found: Mapping[str, Iterable[AnnotatedImage]]
) -> tuple[dict[str, ObjectSplit], list[str]]:
    """Return splits with COCO annotations, and the problems of their images.

    Args:
        folder: The dataset's folder, to which the names of images become relative.
        classes: All class names of the dataset, in their order.
        found: The images of each split, whose objects have these classes.
    """
    categories = make_coco_categories(classes)
    ids = {category['name']: category['id'] for category in categories}
    root = make_absolute(folder)
    splits = {}
    problems = []
    for split, images in found.items():
        entries = []
        annotations = []
        for image_id, image in enumerate(images, start=1):
            path = make_absolute(image.path)
            name = str(path.relative_to(root) if path.is_relative_to(root) else path)
            width, height = image.size
            entries.append({'id': image_id, 'file_name': name, 'width': width, 'height': height})
            problems += image.problems
            for class_name, values in image.objects:
                annotations.append(
                    {
                        'id': len(annotations) + 1,
                        'image_id': image_id,
                        'category_id': ids[class_name],
                        **values,
                    }
                )
        splits[split] = ObjectSplit(folder.resolve(), entries, annotations, categories)
    return splits, problems
