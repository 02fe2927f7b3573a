"""Find the files of a trained model: its config and its checkpoint."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, UserError
from ..host.config import locate_config, read_config, suggest_config
from ..host.files import expand_user, is_url
from ..runs.folder import RunFolder

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..checkpoints.safe_loading import Checkpoint


@dataclass(frozen=True)
class ModelFiles:
    """The files of a trained model, which :func:`find_model_files` has found."""

    config: Path
    checkpoint: str  # a file or URL, or a work dir, which stands for its best or newest
    content: 'Config | None' = None  # of the config, if it was read before

    @cached_property
    def cfg(self) -> 'Config':
        """The content of the config, which is read once."""
        return self.content or read_config(self.config)

    @property
    def run(self) -> RunFolder:
        """The folder of the config, which is that of a run if a run has written the config."""
        return RunFolder(self.config.parent)

    def read_checkpoint(self) -> 'Checkpoint':
        """Read the checkpoint without states of the training."""
        return read_model_checkpoint(self.checkpoint)


def find_model_files(config: str | Path, checkpoint: str | Path | None = None) -> ModelFiles:
    """Find the config of a config file or work dir, and a checkpoint, by default the config's.

    Raise a UserError if one of them does not exist.
    """
    path = expand_user(locate_config(str(config)))
    file = RunFolder(path).config_file if path.is_dir() else path
    if not file.exists():
        raise UserError(f'there is no config or work dir {config}{suggest_config(path)}')
    if file.suffix != '.py':
        raise UserError(
            f'{config} is neither a config file (.py) nor a work dir. Pass one first, for example: '
            'mmgcvit predict WORK_DIR IMAGE'
        )
    if checkpoint and is_url(checkpoint):
        return ModelFiles(file, str(checkpoint))
    source = path if path.is_dir() else path.parent / 'weights' / f'{path.stem}.safetensors'
    if checkpoint:
        source = expand_user(checkpoint)
    if source.exists():
        return ModelFiles(file, str(source))
    if checkpoint:
        raise CheckpointError(f'there is no checkpoint {checkpoint}')
    raise UserError(
        f'{config} comes without weights. Pass a checkpoint after it, or the work dir of a run '
        'instead'
    )


def read_model_checkpoint(source: str) -> 'Checkpoint':
    """Read a checkpoint without states of the training: a file, a URL, or the best or newest of a
    work dir.
    """
    if Path(source).is_dir():
        return RunFolder(Path(source)).read_best_checkpoint()
    from ..checkpoints.safe_loading import read_for_mmengine

    return read_for_mmengine(source, is_resumed=False)
