"""Find the config and the checkpoint of a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ..config import suggest_config
from ..errors import CheckpointError, UserError

CONFIG_SUFFIXES = ('.py', '.yaml', '.yml', '.json')


class Source(NamedTuple):
    """A config file, a checkpoint's file or address, and whether the user named the config or its work dir."""

    config: Path
    checkpoint: str
    is_named: bool = True


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
        return Source(find_config(path), str(checkpoint or find_checkpoint(path)), is_named=False)
    return Source(path, str(checkpoint or get_weights_path(path)))


def check_source(config: str | Path, checkpoint: str | Path | None = None) -> None:
    """Reject a config or a checkpoint that does not exist, before anything slow is imported."""
    path = Path(config).expanduser()
    if path.is_dir():
        find_config(path)
    elif not path.is_file() or path.suffix not in CONFIG_SUFFIXES:
        raise UserError(f'there is no config {config}, neither a file (*.py) nor a work dir{suggest_config(path)}')
    elif checkpoint is None and not has_checkpoint(path):
        raise UserError(f'{config} has no checkpoint beside it; name one, or a work dir, which has its own')
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
    if len(found) != 1:
        raise UserError(f'{work_dir} holds {len(found)} configs (*.py), the work dir of a run one; name the config')
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
