"""Resume a run on a user's own data: compare it with what is asked for, find newer files, and set
another number of epochs.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config, ConfigDict

from ...checkpoints.safe_loading import read_for_mmengine
from ...errors import UserError, format_count, shorten
from ...host.datasets import iter_unwrapped_datasets
from ...host.files import make_absolute, make_portable_path, read_text, write_text
from ...runs.folder import RunFolder
from ..data.folders import scan_folder
from ..runs.made import create_made, get_started_with
from ..runs.run_data import DataRun, note_work_dir
from ..runs.started_data import read_started
from .options import Options, format_option, list_changed
from .plan import Length, choose_length
from .template import fill_template


def check_same_data(run: RunFolder, data: Sequence[Path]) -> None:
    """Raise a UserError if a run of ``train --data`` is on other data than those in folders.

    If its data are no longer where they were, these may be their folders now: they must have the
    first images of the run.
    """
    if not get_started_with(run.config):
        return
    started = DataRun(run.config, make_absolute(run.path))
    if not started.are_data(data):
        found = [
            str((folder or place.path).resolve())
            for folder, place in zip(started.search_data(), started.places, strict=True)
        ]
        asked = ' and '.join(map(str, data))
        raise UserError(
            f'{run.path} is the work dir of a run on {" and ".join(found)}, not on {asked}. Set '
            f'another --work-dir to train on {asked}'
        )


def check_same_options(run: RunFolder, given: Options) -> None:
    """Raise a UserError if options differ from those of the run's start, but for those that may
    change.
    """
    changed = [format_option(name) for name in list_changed(given, get_started_with(run.config))]
    if changed:
        raise UserError(
            f'{" and ".join(changed)} cannot be changed when a run is resumed. Leave it out, or '
            'start a new run (--work-dir)'
        )


def get_annotation_file(cfg: Config) -> Path:
    """Return the annotation file of a config's training dataset."""
    return Path(find_training_dataset(cfg).ann_file)


def find_training_dataset(cfg: Config) -> ConfigDict:
    """Return the settings of a config's training dataset, within those that wrap it."""
    return next(iter_unwrapped_datasets(cfg.train_dataloader.dataset))


def find_newer_files(data: Path, cfg: Config) -> list[str]:
    """Return the files of a folder of data that are newer than a run's copies of its annotations."""
    copy = get_annotation_file(cfg)
    if not copy.is_file():
        return []  # the checks of the data reject it
    written = copy.stat().st_mtime
    return [
        str(file)
        for file in list_files(data)
        if (data / file).is_file() and (data / file).stat().st_mtime > written
    ]


def describe_newer_files(cfg: Config) -> list[str]:
    """Return a line for each folder of a run's data that was changed since the start of the run.

    ``cfg`` is the run's config from :func:`.locate_data`, or any other one. A folder that cannot be
    searched has a line that says why.
    """
    lines = []
    has_annotations = hasattr(find_training_dataset(cfg), 'ann_file')  # not so in an edited config
    for started in read_started(cfg) if has_annotations else ():
        folder = Path(started.folder)
        try:
            newer = find_newer_files(folder, cfg) if folder.is_dir() else []
        except UserError as error:
            lines.append(f'whether the data are newer than the run cannot be told: {error}')
            continue
        if newer:
            lines.append(
                f'newer than the start of the run: {format_count(len(newer), "file")} of '
                f'{make_portable_path(folder)} ({shorten(newer)}). Images and maps are as now, '
                'annotations as they were'
            )
    return lines


def list_files(data: Path) -> list[Path]:
    """Return the files that a training on a folder reads, relative to it."""
    folder = scan_folder(data)
    return [*folder.files, *folder.origin_files]


def read_length(run: RunFolder, source: str) -> dict[str, int]:
    """Return the length of the training until the checkpoint of ``--resume SOURCE``, by the
    variables of templates. ``'auto'`` is the latest checkpoint, or none.
    """
    if source == 'auto':
        checkpoint = run.read_latest_checkpoint()
    else:
        checkpoint = read_for_mmengine(source, run.path)
    meta = checkpoint.content['meta'] if checkpoint else {}
    return {'max_epochs': meta.get('epoch', 0), 'max_iters': meta.get('iter', 0)}


@dataclass(frozen=True)
class ExtendedRun:
    """A run with another length."""

    cfg: Config
    length: Length


def extend_run(run: RunFolder, cfg: Config, epochs: int, done: Mapping[str, int]) -> ExtendedRun:
    """Return a run with another number of epochs in total.

    The config that the run started with is filled in anew, and its schedule replaces the run's. A
    config with another length is written beside it.

    Args:
        run: The run.
        cfg: The config of the run, with the paths as they are now. It is not changed.
        epochs: The number of epochs. If it is the run's own, its own config is returned.
        done: The length of the training so far (:func:`read_length`).

    Raises:
        UserError: The run has trained as long already.
    """
    annotations = get_annotation_file(cfg)
    template = annotations.parent / run.config_file.name  # as make_config wrote it, with its head
    num_images = 0
    if 'max_iters' in cfg:  # the annotation file has a line for each image
        num_images = read_text(annotations).count('\n') * cfg.get('tiles_per_image', 1)
    length = choose_length(cfg, epochs, num_images)
    if cfg.train_cfg[length.variable] == length.number:
        return ExtendedRun(cfg, length)
    if done[length.variable] >= length.number:
        raise UserError(f'the run has trained for {length} already. Set a larger --epochs')
    filled = fill_template(template, {length.variable: length.number})
    changed = Config.fromstring(filled, '.py')
    extended = deepcopy(cfg)
    for name in ('train_cfg', 'param_scheduler', 'default_hooks'):
        extended[name] = changed[name]
    note_work_dir(extended, run.path)
    path = create_made(run) / run.config_file.name
    content = extended.pretty_text
    write_text(path, content)
    filename = str(make_absolute(path))
    extended = Config(extended.to_dict(), cfg_text=content, filename=filename)
    return ExtendedRun(extended, length)
