"""Check data sets that list folders: class folders as in ImageNet, images and segmentation maps as in ADE20K."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset

from ...errors import UserError, get_first_line
from ..headers import IGNORED, read_segmentation_map
from .images import OTHER_SIZE, ImageFile, find_missing
from .report import Issue, Report
from .sources import place_of

NO_IMAGES = Issue('lists no images', 'look at data_prefix, ann_file, classes and suffixes in the config')
OTHER_LABELS = Issue('labels beyond the classes', 'look at the classes and reduce_zero_label')
OTHER_ORDER = Issue(
    'folders whose label is another class than their name',
    "sort the config's classes as the folders, or leave them out: labels are numbers of sorted folders",
)
NO_MAP = Issue('unreadable segmentation maps', "write each pixel's label as one byte")


def check_folders(dataset: BaseDataset, report: Report) -> list[ImageFile]:
    """Check what a data set lists, and count the images of each class; the images that exist."""
    place, listed = place_of(dataset), []
    try:
        listed = dataset.load_data_list()
        report.add(NO_IMAGES, place, None if not listed else [])
    # OpenMMLab's classes raise errors of any class for lists and folders.
    except Exception as error:
        report.add(NO_IMAGES, place, [get_first_line(error)])
    images = [ImageFile(entry['img_path'], labels=entry.get('seg_map_path')) for entry in listed]
    missing = find_missing(place, [path for each in images for path in (each.path, each.labels) if path], report)
    classes = dataset.metainfo.get('classes') or ()
    labels = {entry['img_path']: entry['gt_label'] for entry in listed if 'gt_label' in entry}
    beyond = [f'{path} has label {n}' for path, n in labels.items() if classes and not 0 <= n < len(classes)]
    report.add(OTHER_LABELS, place, beyond)
    # mmpretrain numbers sorted folders, whatever the order of the classes.
    named = [(name, classes[label]) for name, label in getattr(dataset, 'folder_to_idx', {}).items() if name in classes]
    report.add(OTHER_ORDER, place, [f'{name!r} would be called {called!r}' for name, called in named if name != called])
    counts = Counter(labels.values())
    text = ', '.join(f'{counts[label]} {name}' for label, name in enumerate(classes)) if labels else ''
    report.summaries.append(f'{place}: {len(listed)} images{": " if text else ""}{text}')
    return [each for each in images if not {each.path, each.labels} & missing]


def check_segmentation_map(
    image: ImageFile, size: tuple[int, int], dataset: BaseDataset
) -> Iterator[tuple[Issue, str]]:
    """Compare an image's segmentation map with the image's width and height, and with the classes."""
    try:
        labels = read_segmentation_map(Path(image.labels))
    except UserError as error:
        yield NO_MAP, str(error)
        return
    height, width = labels.shape
    if (width, height) != size:
        yield OTHER_SIZE, f'{image.labels} is {width} x {height}, not {size[0]} x {size[1]}'
    # A label_map is from the classes that the data set was published with.
    classes = dataset.label_map or dataset.metainfo.get('classes')
    known = {*range(len(classes or ()) + bool(dataset.reduce_zero_label)), IGNORED, dataset.ignore_index}
    beyond = [str(label) for label in np.unique(labels).tolist() if label not in known]
    if classes and beyond:
        yield OTHER_LABELS, f'{image.labels} has {", ".join(beyond)}'
