"""Check all data sets of a config: whole annotation files and lists of files, then single images."""

import random
import re
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from math import inf

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from rich.progress import Progress

from ...config import iter_settings
from .coco import check_coco, read_json
from .folders import check_folders, check_segmentation_map
from .images import ImageFile, Loader, check_image, get_image_loader
from .report import Issue, Report
from .sources import iter_datasets, place_of

OTHER_NUM_CLASSES = Issue(
    'another number of classes than the model predicts', "give the model's heads num_classes of the data"
)
# The heads that are trained with a data set's labels. A region proposal network has one class only.
HEAD = re.compile(r'\.(head|decode_head|auxiliary_head|bbox_head|mask_head)(\.\d+)?$')
# Pillow and OpenCV decode without Python's lock; each thread holds an image or two.
MAX_THREADS = 16


def check_datasets(cfg: Config, loaders: Sequence[str], num_images: int | None, progress: Progress) -> Report:
    """Check the data sets of some loaders. Each annotation file is read once.

    Args:
        cfg: A whole config, its scope entered.
        loaders: Names of data loaders in it, for example ``['train_dataloader', 'val_dataloader']``.
        num_images: How many random images of each data set to open; None opens all.
        progress: Shows the progress.
    """
    report = Report()
    read = cache(partial(read_json, report=report))
    for settings, kind, is_scored in iter_datasets(cfg, loaders):
        if kind is None:
            which = f'{settings.type} ({settings.get("data_root")})'
            report.notes.append(f'{which} is not checked: only local data as in COCO, ADE20K and ImageNet are')
            continue
        # Its paths are joined and its classes known; it loads no data.
        dataset = DATASETS.build({**settings, 'pipeline': [], 'lazy_init': True})
        if kind == 'coco':
            images = check_coco(dataset, settings, read(dataset.ann_file), is_scored, report)
        else:
            images = check_folders(dataset, report)
        check_images(dataset, images, num_images, get_image_loader(settings), report, progress)
        check_outputs(dataset, kind, cfg, report)
    return report


def check_images(
    dataset: BaseDataset,
    images: Sequence[ImageFile],
    num_images: int | None,
    loader: Loader,
    report: Report,
    progress: Progress,
) -> None:
    """Check images and their segmentation maps in threads: all, or a random sample."""

    def check(image: ImageFile) -> list[tuple[Issue, str]]:
        size, issues = check_image(image, loader)
        return [*issues, *check_segmentation_map(image, size, dataset)] if size and image.labels else issues

    if num_images is not None and len(images) > num_images:
        # With a generator of its own: training's random numbers stay as they are.
        images = random.Random().sample(images, num_images)
    task = progress.add_task(place_of(dataset), total=len(images))
    with warnings.catch_warnings(), ThreadPoolExecutor(MAX_THREADS) as pool:
        # Pillow warns about odd metadata and large images.
        warnings.simplefilter('ignore')
        for issues in pool.map(check, images):
            for issue, text in issues:
                report.add(issue, place_of(dataset), [text])
            progress.advance(task)


def check_outputs(dataset: BaseDataset, kind: str, cfg: Config, report: Report) -> None:
    """Compare the number of classes with those of the model's heads."""
    num_classes = len(dataset.metainfo.get('classes') or ())
    outputs = {
        f'{setting}.num_classes': head['num_classes']
        for setting, head in iter_settings(cfg.get('model') or {}, 'model')
        if HEAD.search(setting) and isinstance(head, dict) and 'num_classes' in head and not head.get('class_agnostic')
    }
    # A classifier may have outputs without a class.
    most = inf if kind == 'imagenet' else num_classes
    wrong = [f'{setting}={number}' for setting, number in outputs.items() if not num_classes <= number <= most]
    if wrong and num_classes:
        report.add(OTHER_NUM_CLASSES, place_of(dataset), [f'{num_classes} classes, and {", ".join(wrong)}'])
