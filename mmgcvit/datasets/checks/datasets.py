"""Check each dataset of a config: first its annotation file or file list, then its images and
segmentation maps.
"""

import random
import re
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import chain
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from rich.progress import Progress

from ...config import LOADERS, get_type_name, iter_dicts, iter_settings
from ...errors import format_count, shorten
from ..decoding import get_decoding_settings, read_segmentation_map
from ..formats.cleaning import find_same_images
from .coco_file import check_coco, read_json
from .image_files import Issue, Report, check_folders, check_image
from .paths import find_format, get_data_path, iter_datasets

OTHER_NUM_CLASSES = Issue(
    'another number of classes than the model predicts', 'Set num_classes of the heads to it'
)
# Config keys of heads that predict the dataset's classes. mmdet's rpn_head does not: it has one
# class.
HEAD = re.compile(r'\.(head|decode_head|auxiliary_head|bbox_head|mask_head)(\.\d+)?$')
# Threads are enough, because Pillow and OpenCV release the GIL while decoding. Each thread holds
# one or two images.
MAX_THREADS = 16
# If only a sample of the images is opened, at most this number is compared, to find images of
# several splits.
MAX_COMPARED = 10_000


def check_datasets(
    cfg: Config, loaders: Sequence[str], num_images: int | None, progress: Progress
) -> Report:
    """Check the datasets of dataloaders, and ``num_images`` random images (None: all) of each.

    Return a report.
    """
    report, paths = Report(), defaultdict(list)
    read = cache(partial(read_json, report=report))
    # Assigners without this setting, such as all matchers of mmdet, take ignored objects for
    # background.
    assigners = [part.get('assigner') for part in iter_dicts(cfg.get('model'))]
    training = [
        get_type_name(part) for part in assigners if part and part.get('ignore_iof_thr', -1) <= 0
    ]
    training_ignored = ' and '.join(dict.fromkeys(training))
    for loader, settings in iter_datasets(cfg, loaders):
        data_format = find_format(settings)
        if data_format is None:
            name = f'{settings.type} ({settings.get("data_root")})'
            report.notes.append(
                f'{name} is not checked: it is not local data in COCO, ADE20K or ImageNet format'
            )
            continue
        # With lazy_init, mmengine's dataset joins its paths and sets its classes, but loads no
        # annotations.
        dataset = DATASETS.build({**settings, 'pipeline': [], 'lazy_init': True})
        if data_format == 'coco':
            content, is_scored = read(dataset.ann_file), loader != LOADERS[0]
            images = check_coco(dataset, settings, content, is_scored, report, training_ignored)
        else:
            images = check_folders(dataset, report)
        paths[loader] += [Path(image.path) for image in images]
        if num_images is not None and len(images) > num_images:
            # A generator of its own leaves the random numbers of the training unchanged. Its seed
            # lets a resumed run check the same images as before, so that it is not stopped by
            # others.
            images = random.Random(len(images)).sample(images, num_images)
        check = partial(check_image, decoding=get_decoding_settings(settings), dataset=dataset)
        with warnings.catch_warnings(), ThreadPoolExecutor(MAX_THREADS) as pool:
            # Ignore Pillow's warnings about odd metadata and large images.
            warnings.simplefilter('ignore')
            found = progress.track(
                pool.map(check, images), len(images), description=get_data_path(dataset)
            )
            for issue, example in chain.from_iterable(found):
                report.add(issue, get_data_path(dataset), [example])
        check_num_classes(dataset, data_format, cfg, report)
    train = paths.pop(LOADERS[0], [])
    others = [path for loader_paths in paths.values() for path in loader_paths]
    if num_images is None or len(train) + len(others) <= MAX_COMPARED:
        firsts = find_same_images(others + train)[len(others) :]
        same = [str(path) for path, first in zip(train, firsts, strict=True) if first < len(others)]
        if same:
            report.notes.append(
                f'{format_count(len(same), "image")} of training are also scored ({shorten(same)})'
            )
    return report


def list_unscored(cfg: Config) -> Iterator[str]:
    """Yield a note for each dataset for validation or test on which scores say nothing.

    Their files must be intact.
    """
    for settings in (
        settings for _, settings in iter_datasets(cfg, LOADERS[1:]) if find_format(settings)
    ):
        dataset = DATASETS.build({**settings, 'pipeline': []})
        if problem := find_unscored(dataset):
            yield f'{get_data_path(dataset)} has {problem}, so scores on it say nothing'


def find_unscored(dataset: Any) -> str | None:
    """Return what makes scores on a dataset of an OpenMMLab package meaningless, or None (also for
    other datasets).

    Detections need an object that is not ignored. Images and pixels need two classes, because a
    model that always predicts the only one would be perfect.
    """
    found, problem = set(), None
    for index in range(len(dataset) if hasattr(dataset, 'get_data_info') else 0):
        info = dataset.get_data_info(index)
        if 'instances' in info:
            problem = 'no objects, except ignored ones'
            found |= (
                {0, 1}
                if any(not instance.get('ignore_flag') for instance in info['instances'])
                else set()
            )
        elif 'gt_label' in info or (info.get('seg_map_path') and 'reduce_zero_label' in info):
            problem = 'labels of at most one class'
            found |= list_labels(info) & {
                *range(len(dataset.metainfo.get('classes') or range(255)))
            }
        if not problem or len(found) > 1:
            return None
    return problem


def list_labels(info: dict[str, Any]) -> set[int]:
    """Return the labels of an image, or those in its segmentation map for mmseg.

    If it cannot be read, return all.
    """
    if 'gt_label' in info:
        return {*np.ravel(info['gt_label']).tolist()}
    try:
        labels = np.unique(read_segmentation_map(Path(info['seg_map_path']))).tolist()
    except Exception:  # the map is on a server, or damaged, which the validation reports
        return {*range(255)}
    return {
        (info.get('label_map') or {}).get(label, label) - bool(info['reduce_zero_label'])
        for label in labels
    }


def check_num_classes(dataset: BaseDataset, data_format: str, cfg: Config, report: Report) -> None:
    """Report an issue if ``num_classes`` of one of the model's heads does not fit the dataset's
    number of classes.
    """
    num_classes = len(dataset.metainfo.get('classes') or ())
    # A classifier may have more outputs than there are classes.
    max_classes = inf if data_format == 'imagenet' else num_classes
    misfits = [
        f'{setting}.num_classes={head["num_classes"]}'
        for setting, head in iter_settings(cfg.get('model') or {}, 'model')
        if HEAD.search(setting) and isinstance(head, dict) and not head.get('class_agnostic')
        if not num_classes <= head.get('num_classes', num_classes) <= max_classes
    ]
    if misfits and num_classes:
        report.add(
            OTHER_NUM_CLASSES,
            get_data_path(dataset),
            [f'{num_classes} classes, and {", ".join(misfits)}'],
        )
