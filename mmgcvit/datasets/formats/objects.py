"""Read annotated images of any format, and make splits in COCO's format from them."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import UserError
from ..classes import make_coco_categories
from .advice import find_empty_classes
from .dataset_info import DatasetInfo, Split


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
