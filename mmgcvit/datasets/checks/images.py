"""Apply the rules to the images and maps that a config's dataset lists."""

import random
import warnings
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from rich.progress import Progress

from ...errors import get_first_line
from ..decoding import IGNORE_INDEX, DecodingSettings, get_decoding_settings
from ..rules.images import MAX_THREADS, MISSING, decode, find_missing, judge_image
from ..rules.labels import (
    NO_IMAGES,
    OTHER_LABELS,
    OTHER_ORDER,
    find_other_labels,
    find_other_order,
    judge_map,
)
from ..rules.rule import Issue, Report, Rule
from .sources import get_data_path


@dataclass(frozen=True)
class ImageFile:
    """The path of an image and, if they exist, its annotated size and its map's path."""

    path: str
    annotated_size: tuple[int, int] | None = None
    map_path: str | None = None


def report_missing(place: str, images: Sequence[ImageFile]) -> tuple[list[ImageFile], Report]:
    """Return the images whose files exist, and a report that names the missing files."""
    paths = [path for image in images for path in (image.path, image.map_path) if path]
    missing = [paths[index] for index in find_missing([Path(path) for path in paths])]
    if not missing:
        return list(images), Report()
    absent = set(missing)
    existing = [image for image in images if absent.isdisjoint((image.path, image.map_path))]
    return existing, Report([Issue(MISSING, place, missing)])


def check_lists(dataset: BaseDataset) -> tuple[list[ImageFile], Report]:
    """Check the images that a dataset lists, and count those of each class.

    Return the existing ones, and a report.
    """
    place = get_data_path(dataset)
    try:
        entries = dataset.load_data_list()
    # OpenMMLab's datasets raise errors of any class for malformed lists and missing folders.
    except Exception as error:
        return [], Report([Issue(NO_IMAGES, place, [get_first_line(error)])])
    images = [ImageFile(entry['img_path'], map_path=entry.get('seg_map_path')) for entry in entries]
    existing, report = report_missing(place, images)
    return existing, report + check_labels(dataset, place, entries)


def check_labels(dataset: BaseDataset, place: str, entries: Sequence[dict[str, Any]]) -> Report:
    """Check the labels of images and the order of class folders."""
    classes = dataset.metainfo.get('classes') or ()
    labels = {entry['img_path']: entry['gt_label'] for entry in entries if 'gt_label' in entry}
    folder_indices = getattr(dataset, 'folder_to_idx', {})
    issues = []
    if not entries:
        issues.append(Issue(NO_IMAGES, place))
    for rule, examples in (
        (OTHER_LABELS, find_other_labels(labels, len(classes))),
        (OTHER_ORDER, find_other_order(folder_indices, classes)),
    ):
        if examples:
            issues.append(Issue(rule, place, examples))
    summary = f'{place}: {len(entries)} images'
    if labels and classes:
        counts = Counter(labels.values())
        by_class = ', '.join(f'{counts[label]} {name}' for label, name in enumerate(classes))
        summary += f': {by_class}'
    return Report(issues, summaries=[summary])


def check_images(
    dataset: BaseDataset,
    settings: ConfigDict,
    images: Sequence[ImageFile],
    num_images: int | None,
    progress: Progress,
) -> Report:
    """Decode ``num_images`` random images of a dataset (None: all), and their maps."""
    place = get_data_path(dataset)
    if num_images is not None and len(images) > num_images:
        # A generator of its own leaves the random numbers of the training unchanged. Its seed lets
        # a resumed run check the same images as before, so that it is not stopped by others.
        images = random.Random(len(images)).sample(images, num_images)
    check = partial(
        check_image,
        decoding=get_decoding_settings(settings),
        known_labels=list_known_labels(dataset),
    )
    examples: dict[Rule, list[str]] = {}
    with warnings.catch_warnings(), ThreadPoolExecutor(MAX_THREADS) as pool:
        # Ignore Pillow's warnings about odd metadata and large images.
        warnings.simplefilter('ignore')
        results = progress.track(pool.map(check, images), len(images), description=place)
        for found in results:
            for rule, example in found:
                examples.setdefault(rule, []).append(example)
    return Report([Issue(rule, place, found) for rule, found in examples.items()])


def list_known_labels(dataset: BaseDataset) -> set[int]:
    """Return the values that the maps of a dataset may have; none where it has no classes."""
    # If the config selects some of the classes, the keys of label_map are all original labels.
    classes = getattr(dataset, 'label_map', None) or dataset.metainfo.get('classes')
    if not classes or not hasattr(dataset, 'reduce_zero_label'):
        return set()
    num_labels = len(classes) + bool(dataset.reduce_zero_label)
    return {*range(num_labels), IGNORE_INDEX, dataset.ignore_index}


def check_image(
    image: ImageFile, decoding: DecodingSettings, known_labels: set[int]
) -> list[tuple[Rule, str]]:
    """Decode an image and, if it has one, its map. Return the rules that it breaks, with examples."""
    decoded = decode(Path(image.path), image.annotated_size, decoding)
    found = judge_image(decoded)
    issues = [found] if found else []
    if image.map_path and not decoded.error:
        issues += judge_map(image.map_path, decoded.size, known_labels)
    return issues
