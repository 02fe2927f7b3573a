"""All data sets of a config are looked at: as they are annotated, as they are listed, and image by image."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from rich.progress import Progress

from .coco import check_coco, read_json
from .contents import Contents, contents_of
from .folders import check_folders, check_pairs, look_at_labels
from .images import Loader, Picture, loader_of, look_at, open_some
from .problems import NUM_EXAMPLES, Kind, Outcome, Problem, Report
from .sources import built, datasets_of, place_of

OTHER_CLASSES = Kind(
    'other classes than the data sets before it', Outcome.STOPS, 'give all the same: a label is the number of a class'
)
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
    for settings, kind, is_scored in datasets_of(cfg, loaders):
        if kind is None:
            report.notes.append(f'{settings.type} ({settings.get("data_root")}) {NOT_LOOKED_INTO}')
            continue
        dataset, annotations = built(settings), None
        with garbage_left():
            if kind == 'coco':
                annotations = read(dataset.ann_file)
                readable = annotations is not None
                pictures = check_coco(dataset, settings, annotations, is_scored, report) if readable else []
            else:
                pictures = (check_pairs if kind == 'ade20k' else check_folders)(dataset, report)
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
    return report


@contextmanager
def garbage_left() -> Iterator[None]:
    """No search for garbage in a block that makes millions of objects: of COCO's size it takes longer than all else."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def look_at_picture(picture: Picture, loader: Loader, dataset: BaseDataset) -> list[Problem]:
    """The problems of an image, and of its labels where it has some."""
    size, problems = look_at(picture, loader)
    if size is None or picture.labels is None:
        return problems
    return [*problems, *look_at_labels(picture, size, dataset)]
