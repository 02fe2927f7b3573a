"""Find the config and the checkpoint of a trained model, and compare one with the other."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..config import differences, parse_config, plain_settings, suggest_config
from ..errors import CheckpointError, UserError, shorten

if TYPE_CHECKING:
    from mmengine.config import Config

# Without handlers, its warnings go to stderr.
LOGGER = logging.getLogger('mmgcvit')
CONFIG_SUFFIXES = ('.py', '.yaml', '.yml', '.json')
# The settings that predictions depend on, and those among them that matter in training only or name places.
COMPARED = ('default_scope', 'model', 'test_dataloader*.pipeline')
NOT_COMPARED = (
    *('*.init_cfg', '*.pretrained', '*.train_cfg', '*.batch_augments', '*.with_cp', '*.frozen_stages', '*.norm_eval'),
    *('*.lora_rank', '*.drop_path_rate', '*.backend_args', '*.file_client_args', '*.meta_keys'),
)


class Source(NamedTuple):
    """A config file and a checkpoint's file or address, and whether the user named each or it was found.

    A checkpoint that was found has been checked for damage.
    """

    config: Path
    checkpoint: str
    is_named: bool = True
    is_checkpoint_named: bool = True


def find_source(config: str | Path, checkpoint: str | Path | None = None) -> Source:
    """Find the config and the checkpoint of a trained model.

    Args:
        config: A config file, or the work dir of a run.
        checkpoint: A file or an address. None takes the best checkpoint of a work dir (the latest of several), or its
            newest undamaged one; for a config file of this project the weights that come with it.

    Raises:
        UserError: There is none, or a work dir has several configs.
    """
    check_source(config, checkpoint)
    path = Path(config).expanduser()
    if path.is_dir():
        found = str(checkpoint) if checkpoint is not None else find_checkpoint(path)
        return Source(find_config(path), found, is_named=False, is_checkpoint_named=checkpoint is not None)
    return Source(path, str(get_weights_path(path) if checkpoint is None else checkpoint))


def check_source(config: str | Path, checkpoint: str | Path | None = None) -> None:
    """Reject a config or a checkpoint that does not exist, before anything slow is imported."""
    path = Path(config).expanduser()
    if path.is_dir():
        find_config(path)
    elif not path.is_file():
        raise UserError(f'there is no config {config}, neither a file nor a work dir{suggest_config(path)}')
    elif path.suffix not in CONFIG_SUFFIXES:
        raise UserError(f'{config} is not a config ({", ".join(CONFIG_SUFFIXES)}); name a config or a work dir first')
    elif checkpoint is None and not get_weights_path(path).is_file():
        raise UserError(
            f'{config} has no checkpoint beside it ({get_weights_path(path)}); name a checkpoint of it, or a work dir, '
            'which has its own'
        )
    if checkpoint is not None and '://' not in str(checkpoint) and not Path(checkpoint).expanduser().is_file():
        raise CheckpointError(f'there is no checkpoint {checkpoint}')


def has_checkpoint(config: str | Path) -> bool:
    """Whether a checkpoint may be left out: for a work dir, or a config that trained weights come with."""
    path = Path(config).expanduser()
    return path.is_dir() or get_weights_path(path).is_file()


def get_weights_path(config: Path) -> Path:
    """Where the trained weights that come with a config are, if there are any."""
    return config.parent / 'weights' / f'{config.stem}.safetensors'


def find_config(work_dir: Path) -> Path:
    """The config that a run has left in its work dir."""
    found = sorted(work_dir.glob('*.py'))
    if not found:
        raise UserError(f'{work_dir} holds no config (*.py), as the work dir of a run does; name the config')
    if len(found) > 1:
        raise UserError(f'{work_dir} holds {len(found)} configs ({", ".join(p.name for p in found)}); name one of them')
    return found[0]


def find_checkpoint(work_dir: Path) -> str:
    """The checkpoint to take from a work dir; see :func:`find_source`."""
    from ..checkpoints import check_intact
    from ..engine.resume import find_latest_checkpoint

    # mmengine's names of the best checkpoints by a validation score.
    for path in sorted(work_dir.glob('best_*.pth'), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            check_intact(path)
        except CheckpointError:
            continue
        return str(path)
    latest = find_latest_checkpoint(work_dir)
    if latest is None:
        raise UserError(f'{work_dir} has no checkpoint; name one')
    return str(latest)


def warn_of_other_config(cfg: Config, source: Source) -> None:
    """Warn if a checkpoint was trained with another model or test pipeline than the config has, which is used."""
    from ..checkpoints.reading import read_meta

    meta = read_meta(source.checkpoint)
    # Checkpoints of OpenMMLab's second generation, or of its first. The text is parsed, never run.
    trained_with, given = parse_config(meta.get('cfg', meta.get('config'))), plain_settings(cfg)
    if not trained_with or not given:
        return
    found = [
        words
        for name, words in differences(trained_with, given)
        if is_of(name, COMPARED) and not is_of(name, NOT_COMPARED)
    ]
    if found:
        LOGGER.warning(
            f'{source.checkpoint} was trained with other settings than {source.config} ({shorten(found)}): '
            'the config is used'
        )


def is_of(name: str, patterns: Sequence[str]) -> bool:
    """Whether a dotted name matches a pattern, in which ``*`` is anything, or lies below one that does."""
    return any(fnmatchcase(name, pattern) or fnmatchcase(name, f'{pattern}.*') for pattern in patterns)
