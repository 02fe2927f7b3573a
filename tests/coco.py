"""Make the content of COCO files: all tests and helpers make it here."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Entry = dict[str, Any]  # of a JSON file, into which tests write anything
Content = dict[str, list[Entry]]


def make_image(image_id: int, file_name: str, width: int, height: int) -> Entry:
    """Return the entry of an image of width x height pixels."""
    return {'id': image_id, 'file_name': file_name, 'width': width, 'height': height}


def make_annotation(
    annotation_id: int,
    image_id: int,
    category_id: int,
    box: Sequence[float],
    *,
    area: float | None = None,
    **others: Any,
) -> Entry:
    """Return the entry of an object.

    Args:
        annotation_id: Its id.
        image_id: That of its image.
        category_id: That of its class.
        box: [x, y, width, height] in pixels.
        area: In pixels, by default that of the box.
        others: Other keys, such as ``segmentation``, ``iscrowd`` and ``attributes``.
    """
    entry = {
        'id': annotation_id,
        'image_id': image_id,
        'category_id': category_id,
        'bbox': [*box],
        'area': box[2] * box[3] if area is None else area,
    }
    return {**entry, **others}


def make_content(
    images: Iterable[Entry], annotations: Iterable[Entry], categories: Mapping[str, int]
) -> Content:
    """Return the content of a file. ``categories`` has the id of each class name."""
    return {
        'images': [*images],
        'annotations': [*annotations],
        'categories': [{'id': number, 'name': name} for name, number in categories.items()],
    }
