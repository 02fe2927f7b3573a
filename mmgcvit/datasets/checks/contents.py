"""What a data set holds: sizes of its images, and how much there is of each class."""

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray
from PIL import Image

from .coco import Entry, as_numbers, select_entries
from .images import Picture, in_pixels
from .problems import Report
from .sources import place_of

# Sides in pixels that COCO's scores tell small, medium and large objects by, on the image as it is.
SMALL, LARGE = 32, 96
NUM_LABELS = 256
THREADS = 4


@dataclass(frozen=True)
class Contents:
    """What a data set holds: lines on the whole; the names of the columns, and a row for each class in their order."""

    place: str
    summary: list[str]
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def contents_of(
    kind: str, dataset: BaseDataset, pictures: Sequence[Picture], annotations: Entry | None
) -> Contents | None:
    """What a data set holds, sizes and labels per pixel of the pictures given; None where it cannot be said."""
    if not pictures:
        return None
    sizes = sizes_in_words(in_threads(size_of, pictures))
    if kind == 'coco':
        entries = select_entries(dataset.ann_file, annotations, False, Report())
        return entries and labelled_objects(dataset, sizes, *entries)
    if kind == 'ade20k':
        return labelled_pixels(dataset, sizes, pictures)
    listed, classes = dataset.load_data_list(), dataset.CLASSES if dataset.with_label else None
    in_class = Counter(entry.get('gt_label') for entry in listed)
    rows = [(str(name), str(in_class[label])) for label, name in enumerate(classes or ())]
    return Contents(place_of(dataset), [f'{len(listed)} images, {sizes}'], ('class', 'images'), rows)


def labelled_objects(
    dataset: BaseDataset, sizes: str, images: list[Entry], annotations: list[Entry], categories: list[Entry]
) -> Contents:
    """Objects of each class, how many an image has, and how large they are; crowds are counted as objects."""
    names = {category['id']: category['name'] for category in categories}
    classes = dataset.metainfo.get('classes') or tuple(names.values())
    used = [entry for entry in annotations if names.get(entry['category_id']) in classes]
    in_class = Counter(names[entry['category_id']] for entry in used)
    with_class = Counter(name for name, _ in {(names[entry['category_id']], entry['image_id']) for entry in used})
    in_image = Counter(entry['image_id'] for entry in used)
    numbers = [in_image[image['id']] for image in images]
    areas = as_numbers([entry['bbox'] for entry in used], 4)[:, 2:].prod(1)
    by_size = (areas < SMALL**2, (areas >= SMALL**2) & (areas < LARGE**2), areas >= LARGE**2)
    small, medium, large = (share(which.sum(), len(areas)) for which in by_size)
    summary = [
        f'{len(images)} images, {sizes}',
        f'{len(used)} objects, {len(used) / len(images):.1f} an image, at most {max(numbers)}; '
        f'{numbers.count(0)} images without',
        f'boxes: {small} small, {medium} medium, {large} large (COCO: below {SMALL}², from {LARGE}² px)',
    ]
    rows = [(name, str(in_class[name]), str(with_class[name])) for name in classes]
    return Contents(place_of(dataset), summary, ('class', 'objects', 'images'), rows)


def labelled_pixels(dataset: BaseDataset, sizes: str, pictures: Sequence[Picture]) -> Contents:
    """Pixels of each class, and in how many images it is."""
    # Label files of 8 bits have no more.
    classes = tuple(dataset.metainfo.get('classes') or ())[: NUM_LABELS - 1]
    first = 1 if dataset.reduce_zero_label else 0
    label_files = [pair.labels for pair in pictures if pair.labels]
    counts = np.array(in_threads(pixels_of_labels, label_files)).reshape(-1, NUM_LABELS)
    of_classes, total = counts[:, first : first + len(classes)], counts.sum()
    summary = [
        f'{len(pictures)} images, {sizes}',
        f'{share(total - of_classes.sum(), total)} of the pixels are of no class',
    ]
    shares = [share(pixels, total) for pixels in of_classes.sum(0)]
    rows = list(zip(classes, shares, map(str, (of_classes > 0).sum(0)), strict=True))
    return Contents(place_of(dataset), summary, ('class', 'pixels', 'images'), rows)


def pixels_of_labels(path: str) -> NDArray[np.int64]:
    """How many pixels have each label in a file, (256,)."""
    with Image.open(path) as image:
        return np.bincount(np.array(image).astype(np.uint8).ravel(), minlength=NUM_LABELS)


def size_of(picture: Picture) -> tuple[int, int]:
    """An image's width and height, as annotated or as the file's header says."""
    if picture.annotated is not None:
        return picture.annotated
    with Image.open(picture.path) as image:
        return image.size


def in_threads(read: Callable[[Any], Any], files: Sequence[Any]) -> list[Any]:
    """What is read of files, without those that cannot be read, which are reported elsewhere."""

    def tried(file: Any) -> Any:
        # Decoders raise errors of any class on damaged files.
        with contextlib.suppress(Exception):
            return read(file)
        return None

    with ThreadPoolExecutor(THREADS) as pool:
        return [found for found in pool.map(tried, files) if found is not None]


def sizes_in_words(sizes: Sequence[tuple[int, int]]) -> str:
    """The smallest, middle and largest of widths and heights."""
    if len(set(sizes)) <= 1:
        return f'all of {in_pixels(sizes[0])} px' if sizes else 'of unknown sizes'
    return ', '.join(
        f'{name} {min(sides)} to {max(sides)} px (median {np.median(sides):.0f})'
        for name, sides in zip(('width', 'height'), zip(*sizes, strict=True), strict=True)
    )


def share(part: int, whole: int) -> str:
    """A part of something in percent."""
    percent = 100 * part / whole if whole else 0
    return f'{percent:.2g} %' if 0 < percent < 1 else f'{percent:.0f} %'
