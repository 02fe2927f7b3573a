"""What a data set holds: sizes of its images, and how much there is of each class."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray
from PIL import Image

from .coco import as_numbers, entries_of
from .images import Picture
from .problems import Report
from .sources import place_of

# Sides in pixels that COCO's scores tell small, medium and large objects by, on the image as it is.
SMALL, LARGE = 32, 96
NUM_LABELS = 256
THREADS = 4


@dataclass(frozen=True)
class Contents:
    """What a data set holds.

    Attributes:
        place: Its annotation file, or the folder of its images.
        summary: What is to be said of the whole, a line each.
        columns: The names of what is counted, the first the class.
        rows: For each class its name and its counts, in the order of the labels.
    """

    place: str
    summary: list[str]
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def contents_of(
    kind: str, dataset: BaseDataset, pictures: Sequence[Picture], annotations: Mapping[str, Any] | None
) -> Contents | None:
    """What a data set holds; None where it cannot be said.

    Args:
        kind: Of :data:`.sources.KINDS`.
        dataset: Not yet loaded, its classes known.
        pictures: Those of its images that are opened: sizes, and labels per pixel, are of these.
        annotations: Of COCO's format, the content of its file.
    """
    if not pictures:
        return None
    if kind == 'ade20k':
        return labelled_pixels(dataset, pictures)
    if kind == 'imagenet':
        return labelled_images(dataset, pictures)
    return labelled_objects(dataset, pictures, annotations)


def labelled_objects(
    dataset: BaseDataset, pictures: Sequence[Picture], content: Mapping[str, Any] | None
) -> Contents | None:
    """Objects of each class, how many an image has, and how large they are; crowds are counted as objects."""
    entries = entries_of(dataset.ann_file, content, False, Report()) if content is not None else None
    if entries is None:
        return None
    images, annotations, categories = entries
    names = {category['id']: category['name'] for category in categories}
    classes = dataset.metainfo.get('classes') or tuple(names.values())
    used = [entry for entry in annotations if names.get(entry['category_id']) in classes]
    in_class = Counter(names[entry['category_id']] for entry in used)
    with_class = Counter(name for name, _ in {(names[entry['category_id']], entry['image_id']) for entry in used})
    in_image = Counter(entry['image_id'] for entry in used)
    numbers = [in_image[image['id']] for image in images]
    summary = [
        f'{len(images)} images, {sizes_in_words(sizes_of(pictures))}',
        f'{len(used)} objects, {len(used) / len(images):.1f} an image, at most {max(numbers)}; '
        f'{numbers.count(0)} images without',
        f'boxes: {object_sizes(used)}',
    ]
    rows = [(name, str(in_class[name]), str(with_class[name])) for name in classes]
    return Contents(place_of(dataset), summary, ('class', 'objects', 'images'), rows)


def object_sizes(annotations: Sequence[Mapping[str, Any]]) -> str:
    """How many boxes are small, medium and large, in words."""
    boxes = as_numbers([entry['bbox'] for entry in annotations], 4)
    areas = boxes[:, 2] * boxes[:, 3]
    small, large = (areas < SMALL**2).sum(), (areas >= LARGE**2).sum()
    medium = np.isfinite(areas).sum() - small - large
    words = [f'{share(number, len(areas))} {name}' for number, name in ((small, 'small'), (medium, 'medium'))]
    return f'{", ".join(words)}, {share(large, len(areas))} large (COCO: below {SMALL}², from {LARGE}² px)'


def labelled_pixels(dataset: BaseDataset, pictures: Sequence[Picture]) -> Contents:
    """Pixels of each class, and in how many images it is."""
    # Label files of 8 bits have no more.
    classes = tuple(dataset.metainfo.get('classes') or ())[: NUM_LABELS - 1]
    first = 1 if dataset.reduce_zero_label else 0
    with ThreadPoolExecutor(THREADS) as pool:
        counts = np.array([*pool.map(pixels_of_labels, [pair.labels for pair in pictures if pair.labels])])
    counts = counts.reshape(-1, NUM_LABELS)
    of_classes = counts[:, first : first + len(classes)]
    total = counts.sum()
    rest = total - of_classes.sum()
    rows = [
        (name, share(pixels, total), str(in_images))
        for name, pixels, in_images in zip(classes, of_classes.sum(0), (of_classes > 0).sum(0), strict=True)
    ]
    summary = [
        f'{len(pictures)} images, {sizes_in_words(sizes_of(pictures))}',
        f'{share(rest, total)} of the pixels are of no class',
    ]
    return Contents(place_of(dataset), summary, ('class', 'pixels', 'images'), rows)


def pixels_of_labels(path: str) -> NDArray[np.int64]:
    """How many pixels have each label in a file, (256,); none where it cannot be read, which is reported elsewhere."""
    try:
        with Image.open(path) as image:
            return np.bincount(np.array(image).astype(np.uint8).ravel(), minlength=NUM_LABELS)
    # Decoders raise errors of any class on damaged files.
    except Exception:
        return np.zeros(NUM_LABELS, np.int64)


def labelled_images(dataset: BaseDataset, pictures: Sequence[Picture]) -> Contents:
    """Images of each class."""
    listed = dataset.load_data_list()
    summary = [f'{len(listed)} images, {sizes_in_words(sizes_of(pictures))}']
    if not dataset.with_label or not dataset.CLASSES:
        return Contents(place_of(dataset), summary, ('class', 'images'), [])
    in_class = Counter(entry['gt_label'] for entry in listed)
    rows = [(str(name), str(in_class[label])) for label, name in enumerate(dataset.CLASSES)]
    return Contents(place_of(dataset), summary, ('class', 'images'), rows)


def sizes_of(pictures: Sequence[Picture]) -> NDArray[np.int64]:
    """Widths and heights, as annotated or as the files' headers say, (images, 2)."""
    with ThreadPoolExecutor(THREADS) as pool:
        found = [size for size in pool.map(size_of, pictures) if size is not None]
    return np.array(found, np.int64).reshape(-1, 2)


def size_of(picture: Picture) -> tuple[int, int] | None:
    """An image's width and height, without decoding it; None where it cannot be read."""
    if picture.annotated is not None:
        return picture.annotated
    try:
        with Image.open(picture.path) as image:
            return image.size
    # As above.
    except Exception:
        return None


def sizes_in_words(sizes: NDArray[np.int64]) -> str:
    """The smallest, middle and largest of widths and heights."""
    if not len(sizes):
        return 'of unknown sizes'
    if (sizes == sizes[0]).all():
        return f'all of {sizes[0, 0]} x {sizes[0, 1]} px'
    words = [
        f'{name} {side.min()} to {side.max()} px (median {np.median(side):.0f})'
        for name, side in zip(('width', 'height'), sizes.T, strict=True)
    ]
    return ', '.join(words)


def share(part: int, whole: int) -> str:
    """A part of something in percent."""
    percent = 100 * part / whole if whole else 0
    return f'{percent:.2g} %' if 0 < percent < 1 else f'{percent:.0f} %'
