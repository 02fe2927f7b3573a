"""Check datasets without COCO annotations: class folders (ImageNet), or images with segmentation maps (ADE20K)."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset

from ...errors import UserError, get_first_line
from ..decoding import IGNORE_INDEX, read_segmentation_map
from .image_files import OTHER_SIZE, ImageFile, find_missing
from .issues import Issue, Report
from .paths import get_data_path

NO_IMAGES = Issue('lists no images', 'Change data_prefix, ann_file, classes or suffixes in the config')
OTHER_LABELS = Issue('labels that belong to no class', 'Change the classes or reduce_zero_label in the config')
OTHER_ORDER = Issue(
    'class folders in another order than the classes of the config',
    'List the classes in the alphabetical order of their folders, or remove them from the config',
)
NO_MAP = Issue(
    'unreadable segmentation maps', 'Save them as 8-bit single-channel PNG files with class indices as pixel values'
)


def check_folders(dataset: BaseDataset, report: Report) -> list[ImageFile]:
    """Check the images that a dataset lists, count the images of each class, and return the existing ones."""
    place, entries = get_data_path(dataset), []
    try:
        entries = dataset.load_data_list()
        report.add(NO_IMAGES, place, [] if entries else None)
    # OpenMMLab's datasets raise errors of any class for malformed lists and missing folders.
    except Exception as error:
        report.add(NO_IMAGES, place, [get_first_line(error)])
    images = [ImageFile(entry['img_path'], map_path=entry.get('seg_map_path')) for entry in entries]
    missing = find_missing(place, [path for image in images for path in (image.path, image.map_path) if path], report)
    classes = dataset.metainfo.get('classes') or ()
    labels = {entry['img_path']: entry['gt_label'] for entry in entries if 'gt_label' in entry}
    beyond = [f'{path} has label {i}' for path, i in labels.items() if classes and not 0 <= i < len(classes)]
    report.add(OTHER_LABELS, place, beyond)
    # mmpretrain labels the sorted folders 0, 1, 2, ... and ignores the order of the config's classes.
    named = [(name, classes[label]) for name, label in getattr(dataset, 'folder_to_idx', {}).items() if name in classes]
    report.add(OTHER_ORDER, place, [f'{name!r} would be called {called!r}' for name, called in named if name != called])
    counts = Counter(labels.values())
    text = ', '.join(f'{counts[label]} {name}' for label, name in enumerate(classes)) if labels else ''
    report.summaries.append(f'{place}: {len(entries)} images{": " if text else ""}{text}')
    report.add_empty_classes(place, 'images', {name: counts[label] for label, name in enumerate(classes)})
    return [image for image in images if not {image.path, image.map_path} & missing]


def check_segmentation_map(
    image: ImageFile, size: tuple[int, int], dataset: BaseDataset
) -> Iterator[tuple[Issue, str]]:
    """Yield the issues of a segmentation map. ``size`` is the (width, height) of its image."""
    try:
        labels = read_segmentation_map(Path(image.map_path))
    except UserError as error:
        yield NO_MAP, str(error)
        return
    height, width = labels.shape
    if (width, height) != size:
        yield OTHER_SIZE, f'{image.map_path} is {width} x {height}, not {size[0]} x {size[1]}'
    # If the config selects some of the classes, the keys of label_map are all original labels.
    classes = dataset.label_map or dataset.metainfo.get('classes')
    known = {*range(len(classes or ()) + bool(dataset.reduce_zero_label)), IGNORE_INDEX, dataset.ignore_index}
    beyond = [str(label) for label in np.unique(labels).tolist() if label not in known]
    if classes and beyond:
        yield OTHER_LABELS, f'{image.map_path} has label {", ".join(beyond)}'
