"""All data sets of a config are looked at: as they are annotated, as they are listed, and image by image."""

import gc
import re
from collections.abc import Sequence
from functools import cache, partial

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from rich.progress import Progress

from ...config import settings_in
from .coco import check_coco, read_json
from .contents import Contents, contents_of
from .folders import check_folders, check_pairs, look_at_labels
from .images import Loader, Picture, loader_of, look_at, open_some
from .problems import NUM_EXAMPLES, Kind, Problem, Report
from .sources import built, datasets_of, place_of

OTHER_CLASSES = Kind(
    'other classes than the data sets before it', 'give all the same: a label is the number of a class'
)
OTHER_OUTPUTS = Kind(
    'another number of classes than the model predicts', "give the model's heads num_classes of the data"
)
# Of what is trained with a data set's labels; a region proposal network knows one class only.
HEAD = re.compile(r'\.(head|decode_head|auxiliary_head|bbox_head|mask_head)(\.\d+)?$')
NOT_LOOKED_INTO = 'is not looked into: only files on this machine in the formats of COCO, ADE20K and ImageNet are'


def check_datasets(
    cfg: Config, loaders: Sequence[str], images: int | None, progress: Progress, contents: list[Contents] | None = None
) -> Report:
    """Look at the data sets of some loaders; each annotation file is read once and looked at as a whole.

    Args:
        cfg: A whole config, its scope entered.
        loaders: Names of data loaders in it, for example ``['train_dataloader', 'val_dataloader']``.
        images: Of each data set so many images are opened, chosen by chance; None opens all.
        progress: Shows how far it is.
        contents: Gets what each data set holds, where it can be said.
    """
    report = Report()
    read = cache(partial(read_json, report=report))
    classes_of: dict[str, Sequence[str]] = {}
    outputs = outputs_of(cfg)
    for settings, kind, is_scored in datasets_of(cfg, loaders):
        if kind is None:
            report.notes.append(f'{settings.type} ({settings.get("data_root")}) {NOT_LOOKED_INTO}')
            continue
        dataset, annotations = built(settings), None
        gc.disable()  # which among millions of objects, as COCO has, takes longer than all else
        try:
            if kind == 'coco':
                annotations = read(dataset.ann_file)
                readable = annotations is not None
                pictures = check_coco(dataset, settings, annotations, is_scored, report) if readable else []
            else:
                pictures = (check_pairs if kind == 'ade20k' else check_folders)(dataset, report)
        finally:
            gc.enable()
        look = partial(look_at_picture, loader=loader_of(settings), dataset=dataset)
        opened = open_some(place_of(dataset), pictures, images, look, report, progress)
        if contents is not None:
            held = contents_of(kind, dataset, opened, annotations)
            contents += [held] if held else []
        classes = dataset.metainfo.get('classes')
        # Unknown where a set could not be listed.
        if classes and list(classes) != list(classes_of.setdefault(kind, classes)):
            both = (classes, classes_of[kind])
            words = [f'{len(names)} classes, {", ".join(map(str, names[:NUM_EXAMPLES]))}, ...' for names in both]
            report.add(OTHER_CLASSES, place_of(dataset), [' instead of '.join(words)])
        wrong = [f'{name}={number}' for name, number in outputs.items() if classes and number != len(classes)]
        said = f'{len(classes or ())} classes, and {", ".join(wrong)}'
        if wrong and kind == 'imagenet' and min(outputs.values()) >= len(classes):
            # A classifier may have outputs that nothing is taught; other hosts' scores fail, or leave them out.
            report.notes.append(f'{place_of(dataset)}: {said}: the last outputs are of no class')
        elif wrong:
            report.add(OTHER_OUTPUTS, place_of(dataset), [said])
    return report


def outputs_of(cfg: Config) -> dict[str, int]:
    """How many classes each head of a config's model predicts, by the setting's name."""
    return {
        f'{place}.num_classes': head['num_classes']
        for place, head in settings_in(cfg.get('model') or {}, 'model')
        if HEAD.search(place) and isinstance(head, dict) and 'num_classes' in head and not head.get('class_agnostic')
    }


def look_at_picture(picture: Picture, loader: Loader, dataset: BaseDataset) -> list[Problem]:
    """The problems of an image, and of its labels where it has some."""
    size, problems = look_at(picture, loader)
    if size is None or picture.labels is None:
        return problems
    return [*problems, *look_at_labels(picture, size, dataset)]
