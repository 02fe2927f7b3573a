"""Semantic segmentation: pairs of an image and its labels per pixel, as in ADE20K."""

import numpy as np
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray
from PIL import Image

from ...errors import first_line
from .images import TOO_LARGE, Picture, Problem, check_all_listed, check_presence, in_pixels, problem_of
from .problems import Kind, Outcome, Report
from .sources import place_of

NO_IMAGES = Kind('no images', Outcome.STOPS, 'look at data_prefix, ann_file and img_suffix in the config')
NO_LIST = Kind('cannot be listed', Outcome.STOPS, 'look at data_prefix, ann_file and img_suffix in the config')
DAMAGED_LABELS = Kind('label files that cannot be read', Outcome.STOPS, 'copy or convert them again')
NOT_ONE_CHANNEL = Kind(
    'label files that are no single channel of eight bits', Outcome.STOPS, "write each pixel's label as one byte"
)
SIZE_OF_LABELS = Kind('label files of another size than their images', Outcome.STOPS, 'make them alike')
OUT_OF_RANGE = Kind(
    'label files with labels beyond the classes', Outcome.STOPS, 'look at the classes and reduce_zero_label'
)
ONE_CHANNEL = ('1', 'L', 'P')
IGNORED = 255


def pairs_of(dataset: BaseDataset, report: Report) -> list[Picture]:
    """The pairs that a data set lists and that are there; the others are reported."""
    place = place_of(dataset)
    try:
        listed = dataset.load_data_list()
    # Whatever the hosts find wrong: it is not known what their data sets raise.
    except Exception as error:
        report.add(NO_LIST, place, [first_line(error)])
        return []
    if not listed:
        report.add(NO_IMAGES, place)
    pairs = [Picture(entry['img_path'], labels=entry.get('seg_map_path')) for entry in listed]
    images, labels = [pair.path for pair in pairs], [pair.labels for pair in pairs if pair.labels is not None]
    if not dataset.ann_file:
        check_all_listed(place, dataset.data_prefix['img_path'], images + labels, report)
    absent = check_presence(place, images + labels, report)
    return [pair for pair in pairs if not {pair.path, pair.labels} & absent]


def look_at_labels(pair: Picture, size: tuple[int, int], dataset: BaseDataset) -> list[Problem]:
    """Compare an image's labels with its size and its data set's classes.

    Args:
        pair: With ``labels``.
        size: Width and height of the image as loaded.
        dataset: mmseg's BaseSegDataset or one derived from it.
    """
    problem = problem_of(pair.labels)
    if problem is not None:
        return [(problem, pair.labels)]
    try:
        with Image.open(pair.labels) as image:
            if image.mode not in ONE_CHANNEL:
                return [(NOT_ONE_CHANNEL, f'{pair.labels} ({image.mode})')]
            labels = np.array(image).astype(np.uint8)
    except Image.DecompressionBombError:
        return [(TOO_LARGE, pair.labels)]
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        return [(DAMAGED_LABELS, f'{pair.labels} ({first_line(error)})')]
    found = []
    if labels.shape[::-1] != size:
        found.append((SIZE_OF_LABELS, f'{pair.labels} is {in_pixels(labels.shape[::-1])}, not {in_pixels(size)}'))
    beyond = labels_beyond(labels, dataset)
    if beyond:
        found.append((OUT_OF_RANGE, f'{pair.labels} has {", ".join(map(str, beyond))}'))
    return found


def labels_beyond(labels: NDArray[np.uint8], dataset: BaseDataset) -> list[int]:
    """The labels of a file that stand for no class, as they are in the file."""
    classes = dataset.metainfo.get('classes')
    if not classes:
        return []
    first = 1 if dataset.reduce_zero_label else 0
    ignored = {IGNORED, dataset.ignore_index} | ({0} if dataset.reduce_zero_label else set())
    # Labels that a data set maps to others are of the classes that it was published with.
    last = first + len(dataset.label_map or classes) - 1
    return [label for label in np.unique(labels).tolist() if label > last and label not in ignored]
