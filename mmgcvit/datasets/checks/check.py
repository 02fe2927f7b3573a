"""Check all data sets of a config: annotations and lists of files as a whole, then images one by one."""

import gc
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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

OTHER_CLASSES = Issue(
    'other classes than in another data set of the config', 'give all the same: a label is the number of a class'
)
OTHER_OUTPUTS = Issue(
    'another number of classes than the model predicts', "give the model's heads num_classes of the data"
)
# The heads that are trained with a data set's labels. A region proposal network has one class only.
HEAD = re.compile(r'\.(head|decode_head|auxiliary_head|bbox_head|mask_head)(\.\d+)?$')
NOT_CHECKED = 'is not looked into: only local files in the formats of COCO, ADE20K and ImageNet are'


@dataclass(frozen=True)
class DatasetSummary:
    """How many images a data set has, their annotated sizes, and the number of objects or images of each class."""

    place: str
    text: str
    counts: Counter[str]


def check_datasets(
    cfg: Config,
    loaders: Sequence[str],
    num_images: int | None,
    progress: Progress,
    summaries: list[DatasetSummary] | None = None,
) -> Report:
    """Check the data sets of some loaders. Each annotation file is read once.

    Args:
        cfg: A whole config, its scope entered.
        loaders: Names of data loaders in it, for example ``['train_dataloader', 'val_dataloader']``.
        num_images: How many random images of each data set to open; None opens all.
        progress: Shows the progress.
        summaries: Gets the summary of each data set.
    """
    report = Report()
    read = cache(partial(read_json, report=report))
    classes_by_kind: dict[str, Sequence[str]] = {}
    for settings, kind, is_scored in datasets_of(cfg, loaders):
        if kind is None:
            report.notes.append(f'{settings.type} ({settings.get("data_root")}) {NOT_CHECKED}')
            continue
        dataset = built(settings)
        place = place_of(dataset)
        gc.disable()  # it would take most of the time among the millions of objects of COCO's annotations
        try:
            if kind == 'coco':
                images, counts = check_coco(dataset, settings, read(dataset.ann_file), is_scored, report)
            else:
                images, counts = (check_pairs if kind == 'ade20k' else check_folders)(dataset, report)
        finally:
            gc.enable()
        check = partial(check_files, loader=loader_of(settings), dataset=dataset)
        check_images(place, images, num_images, check, report, progress)
        if summaries is not None and images:
            summaries.append(DatasetSummary(place, summarize(images), counts))
        classes = dataset.metainfo.get('classes')
        if not classes:
            continue
        first = classes_by_kind.setdefault(kind, classes)
        if list(classes) != list(first):
            report.add(OTHER_CLASSES, place, [f'{", ".join(classes)} instead of {", ".join(first)}'])
        check_outputs(place, kind, len(classes), cfg, report)
    return report


def check_files(image: ImageFile, dataset: BaseDataset, **options: object) -> list[tuple[Issue, str]]:
    """The issues of an image, and of its segmentation map if it has one."""
    size, issues = check_image(image, **options)
    return issues if size is None or image.labels is None else [*issues, *check_label_file(image, size, dataset)]


def check_outputs(place: str, kind: str, num_classes: int, cfg: Config, report: Report) -> None:
    """Compare the number of classes with those of the model's heads."""
    outputs = {
        f'{setting}.num_classes': head['num_classes']
        for setting, head in settings_in(cfg.get('model') or {}, 'model')
        if HEAD.search(setting) and isinstance(head, dict) and 'num_classes' in head and not head.get('class_agnostic')
    }
    wrong = [f'{setting}={number}' for setting, number in outputs.items() if number != num_classes]
    text = f'{num_classes} classes, and {", ".join(wrong)}'
    # A classifier may have outputs without a class.
    if wrong and kind == 'imagenet' and min(outputs.values()) >= num_classes:
        report.notes.append(f'{place}: {text}: the last outputs are of no class')
    elif wrong:
        report.add(OTHER_OUTPUTS, place, [text])


def summarize(images: Sequence[ImageFile]) -> str:
    """The number of images, and the range of their annotated sizes."""
    sizes = [image.annotated for image in images if image.annotated]
    if not sizes:
        return f'{len(images)} images'
    (width, height), (widest, highest) = ([f(sides) for sides in zip(*sizes, strict=True)] for f in (min, max))
    return f'{len(images)} images, width {width} to {widest} px, height {height} to {highest} px'
