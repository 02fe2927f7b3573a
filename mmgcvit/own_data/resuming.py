"""Resume a run on a user's own data: find newer files, and set another number of epochs."""

from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from ..datasets.checks.sources import iter_unwrapped_datasets
from ..datasets.folders import scan_folder
from ..errors import UserError, format_count
from ..files import create_numbered, read_text, write_text
from .config import CONFIG_FOLDER
from .plan import LENGTHS, choose_length
from .template import fill_template


def get_annotation_file(cfg: Config) -> Path:
    """Return the annotation file of a config's training dataset."""
    return Path(next(iter_unwrapped_datasets(cfg.train_dataloader.dataset)).ann_file)


def find_newer_files(data: Path, config: Path) -> list[str]:
    """Return the files of a dataset that are newer than a run's copies of its annotations."""
    copy = get_annotation_file(Config.fromfile(config))
    if not copy.is_file():
        return []  # the checks of the data reject it
    written = copy.stat().st_mtime
    return [
        str(file)
        for file in scan_folder(data).files
        if (data / file).is_file() and (data / file).stat().st_mtime > written
    ]


def extend_run(config: Path, epochs: int, done: Mapping[str, int]) -> tuple[Path, str]:
    """Write a run's config with another number of epochs in total.

    The config that the run started with is filled in anew, and its schedule replaces the run's.
    Return the path, and the length as text. If the number is the run's own, the path is that of its
    own config. Otherwise raise a UserError if the run has trained as long already: ``done`` has its
    length so far.
    """
    cfg = Config.fromfile(config)
    annotations = get_annotation_file(cfg)
    template = annotations.parent / config.name  # as make_config wrote it, with its head
    head = Config.fromfile(template)
    num_images = 0
    if 'max_iters' in head:  # the annotation file has a line for each image
        num_images = read_text(annotations).count('\n')
    variable, length = choose_length(head, epochs, num_images)
    text = format_count(length, LENGTHS[variable])
    if cfg.train_cfg[variable] == length:
        return config, text
    if done[variable] >= length:
        raise UserError(f'the run has trained for {text} already. Set a larger --epochs')
    changed = Config.fromstring(fill_template(template, {variable: length}), '.py')
    for name in ('train_cfg', 'param_scheduler', 'default_hooks'):
        cfg[name] = changed[name]
    path = create_numbered(config.parent / CONFIG_FOLDER) / config.name
    write_text(path, cfg.pretty_text)
    return path, text
