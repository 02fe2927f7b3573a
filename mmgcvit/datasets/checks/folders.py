"""Data sets that list what is in folders: ImageNet's, a folder for each class, and ADE20K's, pairs of image and labels.

Of both hosts list the files, and what they list is compared with the folders and the classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from PIL import Image

from ...errors import first_line
from ..headers import IGNORED, ONE_CHANNEL
from .images import TOO_LARGE, Picture, check_all_listed, check_presence, in_pixels, problem_of
from .problems import NUM_EXAMPLES, Kind, Problem, Report
from .sources import place_of

NO_LIST = Kind('cannot be listed', 'look at data_prefix, ann_file, classes and endings in the config')
NO_IMAGES = Kind('no images', 'look at data_prefix, ann_file and img_suffix in the config')
NO_SUCH_CLASS = Kind('labels beyond the classes', 'look at the classes')
OTHER_NAME = Kind(
    'folders whose label is another class than they are named after',
    "sort the config's classes as the folders, or leave them out: labels are numbers of sorted folders",
)
DAMAGED_LABELS = Kind('label files that cannot be read', 'copy or convert them again')
NOT_ONE_CHANNEL = Kind('label files that are no single channel of eight bits', "write each pixel's label as one byte")
SIZE_OF_LABELS = Kind('label files of another size than their images', 'make them alike')
OUT_OF_RANGE = Kind('label files with labels beyond the classes', 'look at the classes and reduce_zero_label')


def listed_by_host(dataset: BaseDataset, report: Report) -> list[dict[str, Any]] | None:
    """What a data set lists; None where it cannot, of which the report gets the reason."""
    try:
        listed = dataset.load_data_list()
    # Whatever the hosts find wrong: their own assertions, a label that is no number, a line without one.
    except Exception as error:
        report.add(NO_LIST, place_of(dataset), [first_line(error)])
        return None
    if not listed:
        report.add(NO_IMAGES, place_of(dataset))
    return listed


def check_folders(dataset: BaseDataset, report: Report) -> list[Picture]:
    """Report what is wrong with a classification set as it is listed, by which its classes are known; its images."""
    place = place_of(dataset)
    listed = listed_by_host(dataset, report)
    if listed is None:
        return []
    if dataset.with_label and dataset.CLASSES is not None:
        check_labels(place, listed, dataset, report)
    paths = [entry['img_path'] for entry in listed]
    if dataset.ann_file:
        absent = check_presence(place, paths, report)
        return [Picture(path) for path in paths if path not in absent]
    check_all_listed(place, dataset.img_prefix, paths, report)
    return [Picture(path) for path in paths]


def check_labels(place: str, listed: Sequence[Mapping[str, Any]], dataset: BaseDataset, report: Report) -> None:
    """Compare labels with the classes, and where folders are named after classes, with these."""
    classes = dataset.CLASSES
    beyond = [entry for entry in listed if not 0 <= entry['gt_label'] < len(classes)]
    if beyond:
        report.add(NO_SUCH_CLASS, place, [f'{entry["img_path"]} has label {entry["gt_label"]}' for entry in beyond])
        return
    # Each folder of the first level with each of its images' labels, in order.
    parts = [(entry['img_path'].removeprefix(dataset.img_prefix).lstrip('/').split('/'), entry) for entry in listed]
    folders = dict.fromkeys((names[0], classes[entry['gt_label']]) for names, entry in parts if len(names) > 1)
    class_of_name = {alike(name): name for name in classes}
    report.add(
        OTHER_NAME,
        place,
        [f'{name!r} would be called {got!r}' for name, got in folders if class_of_name.get(alike(name), got) != got],
    )
    are_published = (type(dataset).METAINFO or {}).get('classes') is not None
    if not are_published and not any(alike(name) in class_of_name for name, _ in folders):
        called = ', '.join(f'{name!r} {got!r}' for name, got in list(folders)[:NUM_EXAMPLES])
        report.notes.append(f'{place}: no folder is named after a class; look whether the names are right: {called}')


def alike(name: str) -> str:
    """A name as it is compared: folders are often written with other capitals, and without spaces."""
    return name.casefold().replace('_', ' ').replace('-', ' ')


def check_pairs(dataset: BaseDataset, report: Report) -> list[Picture]:
    """The pairs of image and labels that a set of mmseg's lists and that are there; the others are reported."""
    place = place_of(dataset)
    listed = listed_by_host(dataset, report)
    if listed is None:
        return []
    pairs = [Picture(entry['img_path'], labels=entry.get('seg_map_path')) for entry in listed]
    files = [path for pair in pairs for path in (pair.path, pair.labels) if path is not None]
    if not dataset.ann_file:
        check_all_listed(place, dataset.data_prefix['img_path'], files, report)
    absent = check_presence(place, files, report)
    return [pair for pair in pairs if not {pair.path, pair.labels} & absent]


def look_at_labels(pair: Picture, size: tuple[int, int], dataset: BaseDataset) -> Iterator[Problem]:
    """Compare an image's labels with its width and height as loaded, and with its data set's classes."""
    problem = problem_of(pair.labels)
    if problem is not None:
        yield problem, pair.labels
        return
    try:
        with Image.open(pair.labels) as image:
            mode, labels = image.mode, np.array(image).astype(np.uint8)
    except Image.DecompressionBombError:
        yield TOO_LARGE, pair.labels
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        yield DAMAGED_LABELS, f'{pair.labels} ({first_line(error)})'
    else:
        if mode not in ONE_CHANNEL:
            yield NOT_ONE_CHANNEL, f'{pair.labels} ({mode})'
            return
        if labels.shape[::-1] != size:
            yield SIZE_OF_LABELS, f'{pair.labels} is {in_pixels(labels.shape[::-1])}, not {in_pixels(size)}'
        if not dataset.metainfo.get('classes'):
            return
        # Labels that a data set maps to others are of the classes that it was published with.
        classes = dataset.label_map or dataset.metainfo['classes']
        known = {*range(len(classes) + bool(dataset.reduce_zero_label)), IGNORED, dataset.ignore_index}
        beyond = [str(label) for label in np.unique(labels).tolist() if label not in known]
        if beyond:
            yield OUT_OF_RANGE, f'{pair.labels} has {", ".join(beyond)}'
