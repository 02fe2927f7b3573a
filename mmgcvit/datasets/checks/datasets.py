"""Check each dataset of a config: first its annotation file or file list, then its images."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from rich.progress import Progress

from ...config import LOADERS, iter_settings
from ..decoding import IGNORE_INDEX, read_segmentation_map
from ..rules.rule import Issue, Report, make_config_rule
from .coco import check_coco
from .images import check_images, check_lists
from .sources import find_format, get_data_path, iter_datasets

OTHER_NUM_CLASSES = make_config_rule(
    'another number of classes than the model predicts',
    'Set num_classes of the heads to it',
)
# Config keys of heads that predict the dataset's classes. mmdet's rpn_head does not: it has one
# class.
HEAD = re.compile(r'\.(head|decode_head|auxiliary_head|bbox_head|mask_head)(\.\d+)?$')


def check_datasets(
    cfg: Config, loaders: Sequence[str], num_images: int | None, progress: Progress
) -> Report:
    """Check the datasets of dataloaders, and ``num_images`` random images (None: all) of each."""
    report, model = Report([], [], []), cfg.get('model') or ConfigDict()
    for loader, settings in iter_datasets(cfg, loaders):
        data_format = find_format(settings)
        if data_format is None:
            report.notes.append(
                f'{settings.type} ({settings.get("data_root")}) is not checked: it is not local '
                'data in COCO, ADE20K or ImageNet format'
            )
            continue
        # With lazy_init, mmengine's dataset joins its paths and sets its classes, but loads no
        # annotations.
        dataset = DATASETS.build({**settings, 'pipeline': [], 'lazy_init': True})
        if data_format == 'coco':
            is_scored = loader != LOADERS[0]
            images = check_coco(dataset, settings, is_scored, cfg, report)
        else:
            images = check_lists(dataset, report)
        report.issues += check_images(dataset, settings, images, num_images, progress)
        report.issues += check_num_classes(dataset, data_format, model)
    return report


def find_unscored(dataset: Any) -> str | None:
    """Return what makes scores on a dataset meaningless, or None (also for unknown datasets).

    Detections need an object that is not ignored. Images and pixels need two classes, because a
    model that always predicts the only one would be perfect.
    """
    num_images = len(dataset) if hasattr(dataset, 'get_data_info') else 0
    labels, problem = set(), None
    for index in range(num_images):
        info = dataset.get_data_info(index)
        if 'instances' in info:
            problem = 'no objects, except ignored ones'
            if any(not instance.get('ignore_flag') for instance in info['instances']):
                return None
        elif 'gt_label' in info or (info.get('seg_map_path') and 'reduce_zero_label' in info):
            problem = 'labels of at most one class'
            num_classes = len(dataset.metainfo.get('classes') or range(IGNORE_INDEX))
            labels |= list_labels(info) & set(range(num_classes))
            if len(labels) > 1:
                return None
        else:
            return None
    return problem


def list_labels(info: dict[str, Any]) -> set[int]:
    """Return the labels of an image, or those in its map; all if the map cannot be read."""
    if 'gt_label' in info:
        return set(np.ravel(info['gt_label']).tolist())
    try:
        labels = np.unique(read_segmentation_map(Path(info['seg_map_path']))).tolist()
    except Exception:  # the map is on a server, or damaged, which the validation reports
        return set(range(IGNORE_INDEX))
    if info['reduce_zero_label']:  # mmseg does this before it selects classes
        labels = [IGNORE_INDEX if label in (0, IGNORE_INDEX) else label - 1 for label in labels]
    label_map = info.get('label_map') or {}
    return {label_map.get(label, label) for label in labels}


def check_num_classes(dataset: BaseDataset, data_format: str, model: ConfigDict) -> list[Issue]:
    """Report heads of the model whose ``num_classes`` does not fit the dataset's classes."""
    num_classes = len(dataset.metainfo.get('classes') or ())
    misfits = []
    for setting, head in iter_settings(model, 'model'):
        if HEAD.search(setting) and isinstance(head, dict) and not head.get('class_agnostic'):
            number = head.get('num_classes', num_classes)
            # A classifier may have more outputs than there are classes.
            is_too_many = number > num_classes and data_format != 'imagenet'
            if number < num_classes or is_too_many:
                misfits.append(f'{setting}.num_classes={number}')
    if not num_classes or not misfits:
        return []
    example = f'{num_classes} classes, and {", ".join(misfits)}'
    return [Issue(OTHER_NUM_CLASSES, get_data_path(dataset), [example])]
