"""Check each dataset of a config: first its annotation file or file list, then its images."""

import os
import random
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from rich.progress import Progress

from ...errors import get_first_line
from ...host.config import iter_dicts, iter_settings
from ...host.datasets import iter_datasets, iter_unwrapped_datasets
from ...host.files import have_same_content
from ..decoding import MAX_THREADS, DecodingSettings, get_decoding_settings
from ..label_maps import IGNORE_INDEX
from ..rules.coco import OTHER_ANNOTATIONS
from ..rules.images import (
    MISSING,
    NO_IMAGES,
    OTHER_LABELS,
    OTHER_NUM_CLASSES,
    OTHER_ORDER,
    check_image,
    check_map,
)
from ..rules.rule import Finding, Issue, Report, make_issues
from .annotation_files import CheckedFile, ImageFile, check_coco
from .sources import find_format, get_data_path

# Config keys of heads that predict the dataset's classes. mmdet's rpn_head does not: it has one
# class.
HEAD = re.compile(r'\.(head|decode_head|auxiliary_head|bbox_head|mask_head)(\.\d+)?$')


# What dataset classes of OpenMMLab raise for malformed lists and missing folders.
LIST_ERRORS = (OSError, ValueError, LookupError, TypeError, RuntimeError, AssertionError)


def check_datasets(
    cfg: Config, loaders: Sequence[str], num_images: int | None, progress: Progress
) -> Report:
    """Check the datasets of dataloaders, and ``num_images`` random images (None: all) of each."""
    report = Report()
    for loader, settings in iter_datasets(cfg, loaders):
        data_format = find_format(settings)
        if data_format is None:
            note = (
                f'{settings.type} ({settings.get("data_root")}) is not checked: it is not local '
                'data in COCO, ADE20K or ImageNet format'
            )
            report += Report(notes=[note])
            continue
        # With lazy_init, a dataset of mmengine joins its paths and sets its classes, but does not
        # load annotations.
        dataset = DATASETS.build({**settings, 'pipeline': [], 'lazy_init': True})
        if data_format == 'coco':
            is_scored = loader != 'train_dataloader'
            checked = check_coco(dataset, settings, is_scored=is_scored, cfg=cfg)
        else:
            checked = check_lists(dataset)
        report += checked.report
        report += check_images(
            dataset, settings, images=checked.images, num_images=num_images, progress=progress
        )
        report += check_num_classes(dataset, data_format, cfg.get('model'))
    for loader in loaders:
        report += check_evaluator(cfg, loader)
    return report


def check_evaluator(cfg: Config, loader: str) -> Report:
    """Report annotation files of a dataloader's evaluator that are not its dataset's.

    Joined datasets, which may have an evaluator for all of them, are not compared.
    """
    datasets = [*iter_unwrapped_datasets((cfg.get(loader) or {}).get('dataset'))]
    if len(datasets) != 1 or find_format(datasets[0]) != 'coco':
        return Report()
    own = Path(datasets[0].get('data_root') or '', datasets[0].get('ann_file') or '')
    evaluator = loader.replace('dataloader', 'evaluator')
    findings = []
    for metric in iter_dicts(cfg.get(evaluator)):
        other = metric.get('ann_file')
        if other and not have_same_content(own, Path(other)):
            findings.append(Finding(OTHER_ANNOTATIONS, f'{evaluator} reads {other}'))
    return Report(make_issues(findings, str(own)))


def check_lists(dataset: BaseDataset) -> CheckedFile:
    """Check the images that a dataset lists, their labels, and the order of class folders.

    ``dataset`` has images with a label or a semantic map each.
    """
    place = get_data_path(dataset)
    entries = []
    reasons = []
    try:
        entries = dataset.load_data_list()
    except LIST_ERRORS as error:
        reasons = [get_first_line(error)]
    if not entries:
        return CheckedFile(Report([Issue(NO_IMAGES, place, reasons)]))
    classes = dataset.metainfo.get('classes') or ()
    labels = {entry['img_path']: entry['gt_label'] for entry in entries if 'gt_label' in entry}
    findings = [
        *find_other_labels(labels, classes),
        *find_other_order(getattr(dataset, 'folder_to_idx', {}), classes),
    ]
    summary = f'{place}: {len(entries)} images'
    if labels and classes:
        counts = Counter(labels.values())
        by_class = ', '.join(f'{counts[label]} {name}' for label, name in enumerate(classes))
        summary = f'{summary}: {by_class}'
    images = [ImageFile(entry['img_path'], map_path=entry.get('seg_map_path')) for entry in entries]
    return CheckedFile(Report(make_issues(findings, place), summaries=[summary]), images)


def find_other_labels(labels: Mapping[str, int], classes: Sequence[str]) -> list[Finding]:
    """Return the labels of images, by their paths, that are of no class of the config."""
    return [
        Finding(OTHER_LABELS, f'{path} has label {label}')
        for path, label in labels.items()
        if classes and not 0 <= label < len(classes)
    ]


def find_other_order(labels: Mapping[str, int], classes: Sequence[str]) -> list[Finding]:
    """Return the class folders whose label is that of another class of the config.

    mmpretrain labels the sorted folders 0, 1, 2, ... and ignores the order of the classes.
    """
    return [
        Finding(OTHER_ORDER, f'{name!r} would be called {classes[label]!r}')
        for name, label in labels.items()
        if name in classes and classes[label] != name
    ]


def check_images(
    dataset: BaseDataset,
    settings: ConfigDict,
    *,
    images: Sequence[ImageFile],
    num_images: int | None,
    progress: Progress,
) -> Report:
    """Check that the files of all images exist, and decode ``num_images`` images (None: all).

    Args:
        dataset: The dataset, which need not be loaded.
        settings: Its config, whose pipeline says how images are decoded.
        images: The images of the dataset.
        num_images: How many of them are decoded, with their maps. They are chosen at random.
        progress: A progress bar.
    """
    decoded = set(images)
    if num_images is not None and len(images) > num_images:
        # A generator of its own leaves the random numbers of the training unchanged. Its seed lets
        # a resumed run check the same images as before, so that it is not stopped by others.
        decoded = set(random.Random(len(images)).sample(images, num_images))
    check = partial(
        check_file,
        decoding=get_decoding_settings(settings),
        known_labels=list_known_labels(dataset),
    )
    place = get_data_path(dataset)
    missing = list(find_missing_files(path for image in images for path in list_paths(image)))
    findings = [Finding(MISSING, path) for path in missing]
    is_present = set(missing).isdisjoint
    checked = [image for image in images if image in decoded and is_present(list_paths(image))]
    with warnings.catch_warnings(), ThreadPoolExecutor(MAX_THREADS) as pool:
        # Ignore Pillow's warnings about odd metadata and large images.
        warnings.simplefilter('ignore')
        results = pool.map(check, checked)
        for found in progress.track(results, len(checked), description=place):
            findings += found
    return Report(make_issues(findings, place))


def check_file(
    image: ImageFile,
    *,
    decoding: DecodingSettings,
    known_labels: Collection[int],
) -> list[Finding]:
    """Return which rules an image and its map break.

    Args:
        image: The image. Its files must exist.
        decoding: How they are decoded.
        known_labels: The values that the pixels of maps may have (none: any).
    """
    checked = check_image(Path(image.path), image.annotated_size, decoding)
    found = [checked.finding] if checked.finding else []
    if image.map_path and checked.size:
        found += check_map(Path(image.map_path), checked.size, known_labels)
    return found


def list_paths(image: ImageFile) -> list[str]:
    """Return the paths of an image and of its map, if it has one."""
    return [path for path in (image.path, image.map_path) if path]


def find_missing_files(paths: Iterable[str]) -> Iterator[str]:
    """Yield the paths of files that do not exist.

    A folder is listed once, which is faster than to ask for each of its files, above all on a
    network.
    """
    names = {}  # of the files by folder
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in names:
            names[folder] = list_files(folder)
        # Links may lead nowhere, and file systems may not distinguish upper case. os.path.exists
        # returns False for names that are too long, for which Path.exists raises an error.
        if name not in names[folder] and not os.path.exists(path):  # noqa: PTH110
            yield path


def list_files(folder: str) -> set[str]:
    """Return the names of the files in a folder without links, or nothing if it cannot be
    listed.
    """
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if not entry.is_symlink()}
    except OSError:
        return set()


def list_known_labels(dataset: Any) -> set[int]:
    """Return the values that the maps of a dataset may have, or an empty set if any are allowed."""
    # If the config selects some of the classes, the keys of label_map are all original labels.
    classes = getattr(dataset, 'label_map', None) or dataset.metainfo.get('classes')
    if not classes or not hasattr(dataset, 'reduce_zero_label'):
        return set()
    num_labels = len(classes) + bool(dataset.reduce_zero_label)
    return {*range(num_labels), IGNORE_INDEX, dataset.ignore_index}


def check_num_classes(dataset: BaseDataset, data_format: str, model: ConfigDict | None) -> Report:
    """Report heads of the model whose ``num_classes`` does not fit the dataset's classes."""
    num_classes = len(dataset.metainfo.get('classes') or ())
    # A classifier may have more outputs than there are classes.
    most = inf if data_format == 'labels' else num_classes
    misfits = []
    for setting, head in iter_settings(model, 'model'):
        if HEAD.search(setting) and isinstance(head, dict) and not head.get('class_agnostic'):
            number = head.get('num_classes', num_classes)
            if not num_classes <= number <= most:
                misfits.append(f'{setting}.num_classes={number}')
    if not num_classes or not misfits:
        return Report()
    example = f'{num_classes} classes, and {", ".join(misfits)}'
    return Report([Issue(OTHER_NUM_CLASSES, get_data_path(dataset), [example])])
