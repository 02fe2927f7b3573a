"""Which config and which checkpoint a model is made of: named ones, those of a work dir, or trained weights that come
with a config.
"""

from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from ..checkpoints import CheckpointError, check_whole, newest_whole_checkpoint
from ..errors import UserError, first_line

# Of configs that mmengine reads.
CONFIG_ENDINGS = ('.py', '.yaml', '.yml', '.json')
# What mmengine calls the best checkpoints of a run, by a score of validation.
BEST = 'best_*.pth'
# The folder beside a config in which its trained weights may come with it, under its name.
WEIGHTS = 'weights'


class Source(NamedTuple):
    """What a model is made of.

    Attributes:
        config: The config file.
        checkpoint: A file or an address.
    """

    config: Path
    checkpoint: str


def find_source(config: str | Path, checkpoint: str | Path | None = None) -> Source:
    """Settle the config and the checkpoint.

    Args:
        config: A config file, or a work dir, of which the config in it is taken.
        checkpoint: A file or an address. May be left out with a work dir: its best checkpoint is taken, as the
            validation has named it, the latest of several; where there is none, the newest whole one. Also with a
            config that trained weights come with.

    Raises:
        UserError: There is no config, or there are several; or a checkpoint is missing.
    """
    path = Path(config).expanduser()
    if path.is_dir():
        return Source(config_of(path), str(checkpoint) if checkpoint is not None else checkpoint_of(path))
    if not path.is_file():
        raise UserError(f'there is no config {config}, neither a file nor a work dir')
    if path.suffix not in CONFIG_ENDINGS:
        raise UserError(f'{config} is no config ({", ".join(CONFIG_ENDINGS)}); name a config or a work dir first')
    if checkpoint is None and not weights_of(path).is_file():
        raise UserError(
            f'{config} has no checkpoint beside it ({weights_of(path)}); name a checkpoint of it, or take a work dir, '
            'which has its own'
        )
    return Source(path, str(weights_of(path) if checkpoint is None else checkpoint))


def has_checkpoint(config: str | Path) -> bool:
    """Whether a checkpoint may be left out with a config: a work dir's, or one that trained weights come with."""
    path = Path(config).expanduser()
    return path.is_dir() or weights_of(path).is_file()


def weights_of(config: Path) -> Path:
    """Where trained weights that come with a config are, if there are any."""
    return config.parent / WEIGHTS / f'{config.stem}.safetensors'


def config_of(folder: Path) -> Path:
    """The config that a run has left in its work dir.

    Raises:
        UserError: There is none, or more than one.
    """
    found = sorted(folder.glob('*.py'))
    if not found:
        raise UserError(f'{folder} holds no config (*.py), as the work dir of a run does; name the config')
    if len(found) > 1:
        raise UserError(f'{folder} holds {len(found)} configs ({", ".join(p.name for p in found)}); name one of them')
    return found[0]


def checkpoint_of(folder: Path) -> str:
    """The checkpoint to take of a work dir; see :func:`find_source`.

    Raises:
        UserError: It holds no whole one.
    """
    for path in sorted(folder.glob(BEST), key=lambda path: path.stat().st_mtime_ns, reverse=True):
        try:
            check_whole(path)
        except CheckpointError:
            continue
        return str(path)
    newest = newest_whole_checkpoint(folder)
    if newest.path is None:
        raise UserError(f'{folder}: {newest}; name a checkpoint')
    return str(newest.path)


def read_config(path: Path) -> Config:
    """Read a config file, with what it imports.

    Raises:
        UserError: It is no config.
    """
    try:
        return Config.fromfile(path)
    # A config is a program: it fails as it likes.
    except Exception as error:
        raise UserError(f'{path} is no config: {first_line(error)}') from None
