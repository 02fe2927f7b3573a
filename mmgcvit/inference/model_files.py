"""Find the files of a trained model, its config and its checkpoint, and load it."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..config import locate_config, suggest_config
from ..errors import CheckpointError, UserError, shorten
from ..files import expand_user, is_url

if TYPE_CHECKING:
    from ..checkpoints.safe_loading import Checkpoint
    from .predictor import Predictor


class ModelFiles(NamedTuple):
    """The files of a trained model, which :func:`find_model_files` has found."""

    config: Path
    # A file or URL, or a work dir, of which read_model_checkpoint reads the best or newest
    checkpoint: str


def load(
    config: str | Path,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    score_thr: float | None = None,
) -> 'Predictor':
    """Load a trained model.

    Args:
        config: A config file, or the work dir of a run.
        checkpoint: A file or URL. Code in it is not run. Default: the work dir's best or newest
            checkpoint, or the weights shipped with a config of this project.
        device: ``'cpu'``, ``'cuda'`` or ``'cuda:N'``. Default: a GPU if there is one, else the CPU.
        score_thr: Confidence threshold, only for detectors. Default: the one that ``train --data``
            has chosen for the checkpoint, else 0.3.

    Raises:
        UserError: The config, checkpoint or device does not exist, the task of the config is not
            supported, or ``score_thr`` is invalid or set for a model that is no detector.
        CheckpointError: The checkpoint cannot be read, or does not fit the config's model.
    """
    files = find_model_files(config, checkpoint)
    # These imports take seconds. The first checks the versions of torch, mmengine and mmcv.
    from .. import registry  # noqa: F401
    from .loading import load_model

    return load_model(files.config, read_model_checkpoint(files.checkpoint), device, score_thr)


def find_model_files(config: str | Path, checkpoint: str | Path | None = None) -> ModelFiles:
    """Find the config of a config file or work dir, and a checkpoint, by default the config's.

    Raise a UserError if one of them does not exist.
    """
    path = expand_user(locate_config(str(config)))
    file = find_config(path)
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


def find_config(path: Path) -> Path:
    """Return a config file, or the config of a work dir.

    Raise a UserError if a work dir does not have exactly one.
    """
    if not path.is_dir():
        return path
    configs = sorted(path.glob('*.py'))
    if len(configs) != 1:
        names = shorten([file.name for file in configs]) or 'none'
        raise UserError(
            f'{path} is not the work dir of a run, which has one config (*.py): it has {names}. '
            'Pass a work dir, or a config and a checkpoint'
        )
    return configs[0]


def read_model_checkpoint(source: str | Path) -> 'Checkpoint':
    """Read a checkpoint without states of the training: a file, a URL, or the latest best or newest
    of a work dir.
    """
    from ..checkpoints import safe_loading

    folder = Path(source)
    if not folder.is_dir():
        return safe_loading.read_for_mmengine(str(source), is_resumed=False)
    names = sorted(path.name for path in folder.glob('*.pth'))
    last = safe_loading.LAST_CHECKPOINT_FILE
    if len(names) > 1 and not (folder / last).is_file():
        raise UserError(
            f'{source} has {len(names)} checkpoints ({shorten(names)}) and no {last}, which names '
            'that of a run. Pass one of them after it'
        )
    advice = 'Pass another checkpoint after the work dir'
    latest = safe_loading.read_latest_checkpoint(source, advice, prefer_best=True)
    if latest is None:
        raise UserError(f'{source} has no checkpoint. Train first. {advice}')
    return latest
