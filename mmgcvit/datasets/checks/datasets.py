"""Check each dataset of a config: first its annotation file or file list, then its images."""

import os
import random
import re
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from rich.progress import Progress

from ...config import find_max_objects, iter_dicts, iter_settings, iter_transforms
from ...errors import get_first_line
from ..decoding import IGNORE_INDEX, get_decoding_settings
from ..records import ObjectSplit, Size
from ..rules.coco import (
    NO_OBJECTS,
    NOT_COCO,
    UNLISTED,
    Content,
    find_content_problems,
    find_missing_keys,
    has_size,
    read_json,
)
from ..rules.images import (
    MAX_THREADS,
    MISSING,
    NO_IMAGES,
    OTHER_LABELS,
    OTHER_NUM_CLASSES,
    OTHER_ORDER,
    check_image,
    check_map,
)
from ..rules.judge import leave_out_repeated
from ..rules.objects import FEW_POINTS, FULL_IMAGES, leave_out_wrong
from ..rules.rule import MAX_UNUSABLE, Issue, Report, Rule, make_issues
from .sources import find_format, get_data_path, iter_datasets

# Config keys of heads that predict the dataset's classes. mmdet's rpn_head does not: it has one
# class.
HEAD = re.compile(r'\.(head|decode_head|auxiliary_head|bbox_head|mask_head)(\.\d+)?$')


class ImageFile(NamedTuple):
    """The path of an image and, if they exist, its annotated size and its map's path."""

    path: str
    annotated_size: Size | None = None
    map_path: str | None = None


def check_datasets(
    cfg: Config, loaders: Sequence[str], num_images: int | None, progress: Progress
) -> Report:
    """Check the datasets of dataloaders, and ``num_images`` random images (None: all) of each."""
    report = Report([], [], [])
    for loader, settings in iter_datasets(cfg, loaders):
        data_format = find_format(settings)
        if data_format is None:
            report.notes.append(
                f'{settings.type} ({settings.get("data_root")}) is not checked: it is not local '
                'data in COCO, ADE20K or ImageNet format'
            )
            continue
        # With lazy_init, a dataset of mmengine joins its paths and sets its classes, but does not
        # load annotations.
        dataset = DATASETS.build({**settings, 'pipeline': [], 'lazy_init': True})
        if data_format == 'coco':
            images = check_coco(dataset, settings, loader != 'train_dataloader', cfg, report)
        else:
            images = check_lists(dataset, report)
        report.issues += check_images(dataset, settings, images, num_images, progress)
        report.issues += check_num_classes(dataset, data_format, cfg.get('model'))
    return report


def check_coco(
    dataset: BaseDataset, settings: ConfigDict, is_scored: bool, cfg: Config, report: Report
) -> list[ImageFile]:
    """Check and count the annotations of a CocoDataset.

    Args:
        dataset: The dataset, whose annotations need not be loaded.
        settings: Its config.
        is_scored: Whether it is for validation or test.
        cfg: The config that trains or tests a model on it.
        report: What is found is added to it.

    Returns:
        Its images whose size is valid.
    """
    path = dataset.ann_file
    content = read_content(path, is_scored, report)
    if content is None:
        return []
    names = [category['name'] for category in content['categories']]
    classes = dataset.metainfo.get('classes') or names
    with_masks = any(transform.get('with_mask') for transform in iter_transforms(settings))
    try:
        split = make_split(dataset, content, classes)  # what mmdet loads
        problems = defaultdict(list, find_content_problems(content, classes, is_scored))
        # Called only for its problems: mmdet loads repeated objects too.
        leave_out_repeated(split, with_masks, problems)
        usable = leave_out_wrong(split, with_masks, problems)
        images = list(map(ImageFile, map(str, split.image_paths), split.sizes))
        objects = describe_objects(split, classes)
    # A value has a type that COCO's format does not have, for example an id is a list.
    except (TypeError, AttributeError, ArithmeticError) as error:
        report.issues.append(Issue(NOT_COCO, path, [get_first_line(error)]))
        return []
    problems[FULL_IMAGES] = find_full_images(split, cfg)
    if not is_scored and all(entry.get('ignore') for entry in usable.objects):
        problems[NO_OBJECTS] = [f'of {len(split.annotations)} objects']
    num_objects = len(split.annotations) + len(problems[UNLISTED])
    are_many = num_objects - len(usable.annotations) > MAX_UNUSABLE * num_objects
    for issue in make_issues(problems, path, are_many):
        if is_scored and issue.rule == FEW_POINTS:
            issue = issue._replace(stops_run=True)  # pycocotools fails on a mask without area
        report.issues.append(issue)
    report.summaries.append(f'{path}: {len(content["images"])} images; objects: {objects}')
    has_ignored = len(split.objects) < len(split.annotations)
    if has_ignored and not is_scored and takes_ignored_for_background(cfg.get('model')):
        report.notes.append(
            f'{path}: training takes ignored objects for background, because an assigner of the '
            'model has no ignore_iof_thr above 0'
        )
    return images


def describe_objects(split: ObjectSplit, classes: Sequence[str]) -> str:
    """Return the number of objects of each class, and that of ignored ones."""
    counts = split.count_classes()
    text = ', '.join(f'{counts[name]} {name}' for name in classes)
    num_ignored = len(split.annotations) - counts.total()
    return f'{text}; {num_ignored} ignored' if num_ignored else text


def find_full_images(split: ObjectSplit, cfg: Config) -> list[str]:
    """Return the images with more objects than the model finds in one."""
    predicts_tiles = 'side' in (cfg.get('val_cfg') or ())  # the limit of a model is that of a tile
    max_objects = inf if predicts_tiles else find_max_objects(cfg.get('model'))
    numbers = Counter(entry['image_id'] for entry in split.objects)
    return [
        f'{image["file_name"]} has {numbers[image["id"]]}, the limit is {max_objects}'
        for image in split.images
        if numbers[image['id']] > max_objects
    ]


def read_content(path: str, is_scored: bool, report: Report) -> Content | None:
    """Return the lists of a COCO file, whose entries have all keys.

    If the file is anything else, report it and return None.
    """
    content, problem = read_json(Path(path))
    if is_scored and isinstance(content, dict) and 'annotations' not in content:
        report.notes.append(
            f'{path} has no annotations, so predictions on its images cannot be scored'
        )
        content = {**content, 'annotations': []}
    missing = [problem] if problem else find_missing_keys(content, is_scored)
    if missing:
        report.issues.append(Issue(NOT_COCO, path, missing))
        return None
    return content


def takes_ignored_for_background(model: ConfigDict | None) -> bool:
    """Return whether an assigner of the model takes ignored objects for background.

    Assigners without ``ignore_iof_thr`` do, such as all matchers of mmdet.
    """
    assigners = filter(None, (part.get('assigner') for part in iter_dicts(model)))
    return any(assigner.get('ignore_iof_thr', -1) <= 0 for assigner in assigners)


def make_split(dataset: BaseDataset, content: Content, classes: Sequence[str]) -> ObjectSplit:
    """Return the images with a valid size, and their objects of the config's classes."""
    images = [image for image in content['images'] if has_size(image)]
    image_ids = {image['id'] for image in images}
    category_ids = {each['id'] for each in content['categories'] if each['name'] in classes}
    objects = [
        entry
        for entry in content['annotations']
        if entry['category_id'] in category_ids and entry['image_id'] in image_ids
    ]
    folder = Path(dataset.data_prefix.get('img', ''))
    return ObjectSplit(folder, images, objects, content['categories'])


def check_lists(dataset: BaseDataset, report: Report) -> list[ImageFile]:
    """Check the images that a dataset lists, their labels, and the order of class folders.

    Args:
        dataset: A dataset of images with a label or a semantic map each.
        report: Issues, and the number of images of each class, are added to it.
    """
    place = get_data_path(dataset)
    entries = []
    reasons = []
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
        OTHER_LABELS: [
            f'{path} has label {label}'
            for path, label in labels.items()
            if classes and not 0 <= label < len(classes)
        ],
        # mmpretrain labels the sorted folders 0, 1, 2, ... and ignores the order of the classes.
        OTHER_ORDER: [
            f'{name!r} would be called {classes[label]!r}'
            for name, label in getattr(dataset, 'folder_to_idx', {}).items()
            if name in classes and classes[label] != name
        ],
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
    """Check that the files of all images exist, and decode ``num_images`` images (None: all).

    Args:
        dataset: The dataset, which need not be loaded.
        settings: Its config, whose pipeline says how images are decoded.
        images: The images of the dataset.
        num_images: How many of them are decoded, with their maps. They are chosen at random.
        progress: A progress bar.
    """
    problems = defaultdict(list)
    decoded = set(images)
    if num_images is not None and len(images) > num_images:
        # A generator of its own leaves the random numbers of the training unchanged. Its seed lets
        # a resumed run check the same images as before, so that it is not stopped by others.
        decoded = set(random.Random(len(images)).sample(images, num_images))
    decoding = get_decoding_settings(settings)
    known_labels = list_known_labels(dataset)
    place = get_data_path(dataset)
    paths = [path for image in images for path in (image.path, image.map_path) if path]
    missing = set(find_missing_files(paths))
    problems[MISSING] += [path for path in paths if path in missing]

    def check(image: ImageFile) -> list[tuple[Rule, str]]:
        rule, example, size = check_image(Path(image.path), image.annotated_size, decoding)
        found = [(rule, example)] if rule else []
        if image.map_path and size:
            found += check_map(Path(image.map_path), size, known_labels)
        return found

    with warnings.catch_warnings(), ThreadPoolExecutor(MAX_THREADS) as pool:
        # Ignore Pillow's warnings about odd metadata and large images.
        warnings.simplefilter('ignore')
        present = [
            image
            for image in images
            if image in decoded and missing.isdisjoint((image.path, image.map_path))
        ]
        results = pool.map(check, present)
        for found in progress.track(results, len(present), description=place):
            for rule, example in found:
                problems[rule].append(example)
    return make_issues(problems, place)


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


def check_num_classes(
    dataset: BaseDataset, data_format: str, model: ConfigDict | None
) -> list[Issue]:
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
        return []
    example = f'{num_classes} classes, and {", ".join(misfits)}'
    return [Issue(OTHER_NUM_CLASSES, get_data_path(dataset), [example])]
