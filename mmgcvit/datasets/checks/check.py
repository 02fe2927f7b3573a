"""Check all data sets of a config: annotations and lists of files as a whole, then images one by one."""

import gc
import re
from collections.abc import Sequence
from functools import cache, partial

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from rich.progress import Progress

from ...config import settings_in
from .coco import check_coco, read_json
from .folders import check_folders, check_label_file, check_pairs
from .images import ImageFile, check_image, check_images, loader_of
from .report import Issue, Report
from .sources import built, datasets_of, place_of

OTHER_OUTPUTS = Issue(
    'another number of classes than the model predicts', "give the model's heads num_classes of the data"
)
# The heads that are trained with a data set's labels. A region proposal network has one class only.
HEAD = re.compile(r'\.(head|decode_head|auxiliary_head|bbox_head|mask_head)(\.\d+)?$')
NOT_CHECKED = 'is not looked into: only local files in the formats of COCO, ADE20K and ImageNet are'


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
    for settings, kind, is_scored in datasets_of(cfg, loaders):
        if kind is None:
            report.notes.append(f'{settings.type} ({settings.get("data_root")}) {NOT_CHECKED}')
            continue
        dataset = built(settings)
        gc.disable()  # it would take most of the time among the millions of objects of COCO's annotations
        try:
            if kind == 'coco':
                images = check_coco(dataset, settings, read(dataset.ann_file), is_scored, report)
            else:
                images = (check_pairs if kind == 'ade20k' else check_folders)(dataset, report)
        finally:
            gc.enable()
        check = partial(check_files, loader=loader_of(settings), dataset=dataset)
        check_images(place_of(dataset), images, num_images, check, report, progress)
        check_outputs(dataset, kind, cfg, report)
    return report


def check_files(image: ImageFile, dataset: BaseDataset, **options: object) -> list[tuple[Issue, str]]:
    """The issues of an image, and of its segmentation map if it has one."""
    size, issues = check_image(image, **options)
    return issues if size is None or image.labels is None else [*issues, *check_label_file(image, size, dataset)]


def check_outputs(dataset: BaseDataset, kind: str, cfg: Config, report: Report) -> None:
    """Compare the number of classes with those of the model's heads."""
    num_classes = len(dataset.metainfo.get('classes') or ())
    outputs = {
        f'{setting}.num_classes': head['num_classes']
        for setting, head in settings_in(cfg.get('model') or {}, 'model')
        if HEAD.search(setting) and isinstance(head, dict) and 'num_classes' in head and not head.get('class_agnostic')
    }
    wrong = [f'{setting}={number}' for setting, number in outputs.items() if number != num_classes]
    text = f'{num_classes} classes, and {", ".join(wrong)}'
    # A classifier may have outputs without a class.
    if wrong and kind == 'imagenet' and min(outputs.values()) >= num_classes:
        report.notes.append(f'{place_of(dataset)}: {text}: the last outputs are of no class')
    elif wrong and num_classes:
        report.add(OTHER_OUTPUTS, place_of(dataset), [text])
