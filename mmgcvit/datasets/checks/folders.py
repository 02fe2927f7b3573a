"""Check data sets that list folders: ImageNet's, a folder per class, and ADE20K's, images and segmentation maps."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from PIL import Image

from ...errors import first_line
from ..headers import IGNORED, ONE_CHANNEL
from .images import ImageFile, find_missing, problem_of
from .report import Issue, Report
from .sources import place_of

NO_LIST = Issue('cannot be listed', 'look at data_prefix, ann_file, classes and suffixes in the config')
NO_IMAGES = Issue('no images', 'look at data_prefix, ann_file and img_suffix in the config')
NO_SUCH_CLASS = Issue('labels beyond the classes', 'look at the classes')
OTHER_NAME = Issue(
    'folders whose label is another class than their name',
    "sort the config's classes as the folders, or leave them out: labels are numbers of sorted folders",
)
DAMAGED_LABELS = Issue('segmentation maps that cannot be read', 'copy or convert them again')
NOT_ONE_CHANNEL = Issue('segmentation maps that are not one channel of 8 bits', "write each pixel's label as one byte")
SIZE_OF_LABELS = Issue('segmentation maps of another size than their images', 'make them alike')
OUT_OF_RANGE = Issue('segmentation maps with labels beyond the classes', 'look at the classes and reduce_zero_label')


def list_dataset(dataset: BaseDataset, report: Report) -> list[dict[str, Any]]:
    """What a data set lists; nothing, reported, where it cannot."""
    try:
        listed = dataset.load_data_list()
    # OpenMMLab's classes raise errors of any class for lists and folders.
    except Exception as error:
        report.add(NO_LIST, place_of(dataset), [first_line(error)])
        return []
    if not listed:
        report.add(NO_IMAGES, place_of(dataset))
    return listed


def check_folders(dataset: BaseDataset, report: Report) -> list[ImageFile]:
    """Report what is wrong with the list of a classification set, and the images of each class; its images."""
    place, listed = place_of(dataset), list_dataset(dataset, report)
    missing = find_missing(place, [entry['img_path'] for entry in listed], report)
    if dataset.with_label and dataset.CLASSES:
        beyond = [entry for entry in listed if not 0 <= entry['gt_label'] < len(dataset.CLASSES)]
        report.add(NO_SUCH_CLASS, place, [f'{entry["img_path"]} has label {entry["gt_label"]}' for entry in beyond])
        if not beyond:
            check_names(place, listed, dataset, report)
            counts = Counter(entry['gt_label'] for entry in listed)
            classes = ', '.join(f'{counts[label]} {name}' for label, name in enumerate(dataset.CLASSES))
            report.summaries.append(f'{place}: {len(listed)} images: {classes}')
    return [ImageFile(entry['img_path']) for entry in listed if entry['img_path'] not in missing]


def check_names(place: str, listed: Sequence[Mapping[str, Any]], dataset: BaseDataset, report: Report) -> None:
    """Compare the classes with folders of their names; capitals, spaces and hyphens may differ."""

    def normalize(name: str) -> str:
        return name.casefold().replace('_', ' ').replace('-', ' ')

    class_of_name = {normalize(name): name for name in dataset.CLASSES}
    parts = [(entry['img_path'].removeprefix(dataset.img_prefix).lstrip('/').split('/'), entry) for entry in listed]
    folders = dict.fromkeys((names[0], dataset.CLASSES[entry['gt_label']]) for names, entry in parts if names[1:])
    wrong = [(name, label) for name, label in folders if class_of_name.get(normalize(name), label) != label]
    report.add(OTHER_NAME, place, [f'{name!r} would be called {label!r}' for name, label in wrong])


def check_pairs(dataset: BaseDataset, report: Report) -> list[ImageFile]:
    """Report missing files of a segmentation set; the pairs of image and segmentation map that are there."""
    pairs = [ImageFile(entry['img_path'], labels=entry.get('seg_map_path')) for entry in list_dataset(dataset, report)]
    files = [path for pair in pairs for path in (pair.path, pair.labels) if path is not None]
    missing = find_missing(place_of(dataset), files, report)
    report.summaries.append(f'{place_of(dataset)}: {len(pairs)} images')
    return [pair for pair in pairs if not {pair.path, pair.labels} & missing]


def check_label_file(pair: ImageFile, size: tuple[int, int], dataset: BaseDataset) -> Iterator[tuple[Issue, str]]:
    """Compare a segmentation map with the width and height of its image, and with the classes."""
    issue = problem_of(pair.labels)
    if issue is not None:
        yield issue, pair.labels
        return
    try:
        with Image.open(pair.labels) as image:
            mode, labels = image.mode, np.array(image).astype(np.uint8)
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        yield DAMAGED_LABELS, f'{pair.labels} ({first_line(error)})'
        return
    if mode not in ONE_CHANNEL:
        yield NOT_ONE_CHANNEL, f'{pair.labels} ({mode})'
        return
    height, width = labels.shape
    if (width, height) != size:
        yield SIZE_OF_LABELS, f'{pair.labels} is {width} x {height}, not {size[0]} x {size[1]}'
    # A label_map is from the classes that the data set was published with.
    classes = dataset.label_map or dataset.metainfo.get('classes')
    known = {*range(len(classes or ()) + bool(dataset.reduce_zero_label)), IGNORED, dataset.ignore_index}
    beyond = [str(label) for label in np.unique(labels).tolist() if label not in known]
    if classes and beyond:
        yield OUT_OF_RANGE, f'{pair.labels} has {", ".join(beyond)}'
