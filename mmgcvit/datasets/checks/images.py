"""Apply the rules to the images and maps that a config's dataset lists."""

import random
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from rich.progress import Progress

from ...errors import get_first_line
from ..decoding import IGNORE_INDEX, get_decoding_settings
from ..rules.images import MAX_THREADS, MISSING, check_image, find_missing
from ..rules.labels import (
    NO_IMAGES,
    OTHER_LABELS,
    OTHER_ORDER,
    check_map,
    find_other_labels,
    find_other_order,
)
from ..rules.rule import Issue, Report, Rule, make_issues
from .sources import get_data_path


class ImageFile(NamedTuple):
    """The path of an image and, if they exist, its annotated size and its map's path."""

    path: str
    annotated_size: tuple[int, int] | None = None
    map_path: str | None = None


def check_lists(dataset: BaseDataset, report: Report) -> list[ImageFile]:
    """Check the images that a dataset lists, their labels, and the order of class folders.

    Args:
        dataset: A dataset of images with a label or a semantic map each.
        report: Issues, and the number of images of each class, are added to it.
    """
    place = get_data_path(dataset)
    entries, reasons = [], []
    try:
        entries = dataset.load_data_list()
    # OpenMMLab's datasets raise errors of any class for malformed lists and missing folders.
    except Exception as error:
        reasons = [get_first_line(error)]
    if not entries:
        report.issues.append(Issue(NO_IMAGES, place, reasons))
        return []
    classes = dataset.metainfo.get('classes') or ()
    labels = {entry['img_path']: entry['gt_label'] for entry in entries if 'gt_label' in entry}
    problems = {
        OTHER_LABELS: find_other_labels(labels, len(classes)),
        OTHER_ORDER: find_other_order(getattr(dataset, 'folder_to_idx', {}), classes),
    }
    report.issues += make_issues(problems, place)
    counts = Counter(labels.values())
    by_class = ', '.join(f'{counts[label]} {name}' for label, name in enumerate(classes))
    summary = f'{place}: {len(entries)} images'
    report.summaries.append(f'{summary}: {by_class}' if labels and classes else summary)
    return [ImageFile(entry['img_path'], map_path=entry.get('seg_map_path')) for entry in entries]


def check_images(
    dataset: BaseDataset,
    settings: ConfigDict,
    images: Sequence[ImageFile],
    num_images: int | None,
    progress: Progress,
) -> list[Issue]:
    """Look for all files of a dataset's images. Decode ``num_images`` of them (None: all).

    Args:
        dataset: The dataset, which need not be loaded.
        settings: Its config, whose pipeline says how images are decoded.
        images: Its images.
        num_images: How many random ones of them are decoded, with their maps.
        progress: A progress bar.
    """
    paths = [path for image in images for path in (image.path, image.map_path) if path]
    missing = find_missing(paths)
    problems, absent = {MISSING: missing}, set(missing)
    images = [image for image in images if absent.isdisjoint((image.path, image.map_path))]
    if num_images is not None and len(images) > num_images:
        # A generator of its own leaves the random numbers of the training unchanged. Its seed lets
        # a resumed run check the same images as before, so that it is not stopped by others.
        images = random.Random(len(images)).sample(images, num_images)
    decoding, known_labels = get_decoding_settings(settings), list_known_labels(dataset)
    place = get_data_path(dataset)

    def check(image: ImageFile) -> list[tuple[Rule, str]]:
        rule, example, size = check_image(Path(image.path), image.annotated_size, decoding)
        found = [(rule, example)] if rule else []
        if image.map_path and size:
            found += check_map(Path(image.map_path), size, known_labels)
        return found

    with warnings.catch_warnings(), ThreadPoolExecutor(MAX_THREADS) as pool:
        # Ignore Pillow's warnings about odd metadata and large images.
        warnings.simplefilter('ignore')
        results = pool.map(check, images)
        for found in progress.track(results, len(images), description=place):
            for rule, example in found:
                problems.setdefault(rule, []).append(example)
    return make_issues(problems, place)


def list_known_labels(dataset: Any) -> set[int]:
    """Return the values that the maps of a dataset may have; none where it has no classes."""
    # If the config selects some of the classes, the keys of label_map are all original labels.
    classes = getattr(dataset, 'label_map', None) or dataset.metainfo.get('classes')
    if not classes or not hasattr(dataset, 'reduce_zero_label'):
        return set()
    num_labels = len(classes) + bool(dataset.reduce_zero_label)
    return {*range(num_labels), IGNORE_INDEX, dataset.ignore_index}
