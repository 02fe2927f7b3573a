"""Annotation files in JSON, read once, by name in every complaint."""

import codecs
import gc
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from rich.progress import Progress

from .coco import check_coco
from .contents import Contents, contents_of
from .folders import check_folders
from .images import Loader, Picture, Problem, loader_of, look_at, open_all, problem_of, sample_of
from .labels import look_at_labels, pairs_of
from .problems import NUM_EXAMPLES, Kind, Outcome, Report
from .sources import built, is_remote, kind_of, leaf_datasets, place_of

NO_JSON = Kind('no whole JSON', Outcome.STOPS, 'write the file again')
BYTE_ORDER_MARK = Kind(
    'begins with a byte order mark, which JSON must not', Outcome.STOPS, 'save it as UTF-8 without one (no "BOM")'
)
NO_OBJECT = Kind('JSON, but no object', Outcome.STOPS, 'it must begin with { and name images, annotations, categories')
NOT_UTF8 = Kind('no text in UTF-8', Outcome.STOPS, 'save it as UTF-8')
LONG_NUMBER = Kind('a whole number too long to be read', Outcome.STOPS, 'correct it')


def read_json(path: str, report: Report) -> dict[str, Any] | None:
    """The content of a file that holds a JSON object; None where the report gets why there is none."""
    problem = problem_of(path)
    if problem is not None:
        report.add(problem, path)
        return None
    content = Path(path).read_bytes()
    if content.startswith(codecs.BOM_UTF8):
        report.add(BYTE_ORDER_MARK, path)
        return None
    try:
        loaded = json.loads(content.decode())
    except UnicodeDecodeError as error:
        report.add(NOT_UTF8, path, [f'byte {error.start}'])
    # Brackets within brackets within brackets.
    except (json.JSONDecodeError, RecursionError) as error:
        report.add(NO_JSON, path, [str(error)])
    # Of the errors of values only this one is left.
    except ValueError:
        report.add(LONG_NUMBER, path, [f'over {sys.get_int_max_str_digits():,} digits'])
    else:
        if isinstance(loaded, dict):
            return loaded
        report.add(NO_OBJECT, path)
    return None


@contextmanager
def put_off() -> Iterator[None]:
    """Have Python not look for garbage in a block that makes millions of objects, none of them garbage.

    With a file of COCO's size the search takes longer than all else.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


OTHER_CLASSES = Kind(
    'other classes than the data sets before it', Outcome.STOPS, 'give all the same: a label is the number of a class'
)
TRAINING = 'train_dataloader'
LOOKED_INTO = ('coco', 'ade20k', 'imagenet')
NOT_LOOKED_INTO = 'only files on this machine in the formats of COCO, ADE20K and ImageNet are'
# Reads a file by its path.
Read = Callable[[str], dict[str, Any] | None]


def check_datasets(
    cfg: Config,
    loaders: Sequence[str],
    images: int | None,
    progress: Progress,
    contents: list[Contents] | None = None,
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
    classes: dict[str, Sequence[str]] = {}
    for settings, is_scored in distinct_datasets(cfg, loaders):
        kind = kind_of(settings)
        if kind not in LOOKED_INTO or is_remote(settings):
            report.note(f'{settings.type} ({settings.get("data_root")}) is not looked into: {NOT_LOOKED_INTO}')
            continue
        dataset = built(settings)
        with put_off():
            pictures = pictures_of(kind, dataset, settings, is_scored, read, report)
        look = partial(look_at_picture, loader=loader_of(settings), dataset=dataset)
        opened = sample_of(pictures, images)
        open_all(place_of(dataset), opened, look, report, progress)
        if contents is not None:
            held = contents_of(kind, dataset, opened, read(dataset.ann_file) if kind == 'coco' else None)
            contents += [held] if held else []
        # Unknown where a set could not be listed.
        if dataset.metainfo.get('classes'):
            check_same_classes(dataset, classes.setdefault(kind, dataset.metainfo['classes']), report)
    return report


def distinct_datasets(cfg: Config, loaders: Sequence[str]) -> Iterator[tuple[ConfigDict, bool]]:
    """The innermost data sets of some loaders, each once, and whether scores are computed on it."""
    seen = []
    for name in loaders:
        for settings in leaf_datasets((cfg.get(name) or {}).get('dataset')):
            found = settings, name != TRAINING
            if found not in seen:
                seen.append(found)
                yield found


def pictures_of(
    kind: str, dataset: BaseDataset, settings: ConfigDict, is_scored: bool, read: Read, report: Report
) -> list[Picture]:
    """Look at how a data set is listed and annotated; the images in it."""
    if kind == 'ade20k':
        return pairs_of(dataset, report)
    if kind == 'imagenet':
        return check_folders(dataset, report)
    content = read(dataset.ann_file)
    return [] if content is None else check_coco(dataset, settings, content, is_scored, report)


def look_at_picture(picture: Picture, loader: Loader, dataset: BaseDataset) -> list[Problem]:
    """The problems of an image, and of its labels where it has some."""
    size, problems = look_at(picture, loader)
    if size is None or picture.labels is None:
        return problems
    return problems + look_at_labels(picture, size, dataset)


def check_same_classes(dataset: BaseDataset, first: Sequence[str], report: Report) -> None:
    """Compare a data set's classes with those of the first one of its kind."""
    classes = dataset.metainfo['classes']
    if list(classes) != list(first):
        report.add(OTHER_CLASSES, place_of(dataset), [f'{in_words(classes)} instead of {in_words(first)}'])


def in_words(classes: Sequence[str]) -> str:
    """How many classes, and the first of them."""
    return f'{len(classes)} classes, {", ".join(map(str, classes[:NUM_EXAMPLES]))}, ...'
