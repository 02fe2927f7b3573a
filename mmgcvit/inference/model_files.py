"""Find the files of a trained model, its config and its checkpoint, and load it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..config import locate_config, suggest_config
from ..errors import CheckpointError, UserError, shorten
from ..files import IMAGE_SUFFIXES, compute_sha256, is_url, suggest_folder

if TYPE_CHECKING:
    from ..checkpoints.safe_loading import Checkpoint
    from .predictor import Detector, Predictor

# In a work dir: the name and SHA-256 of a checkpoint, and the confidence threshold chosen on the
# validation images.
SCORE_THR_FILE = 'score_thr.json'
PASS_WORK_DIR = '. Pass its work dir instead ({folder}), or CONFIG CHECKPOINT'
# Advice if a file with this suffix is passed instead of a config.
HINTS = {
    '.pth': PASS_WORK_DIR,
    '.pt': PASS_WORK_DIR,
    '.safetensors': PASS_WORK_DIR,
    '.onnx': '. To run an ONNX file, use OnnxPredictor (docs/deploy.md)',
    **dict.fromkeys(IMAGE_SUFFIXES, '. Write a model before it: mmgcvit predict WORK_DIR IMAGE'),
}


@dataclass(frozen=True)
class ModelFiles:
    """The files of a trained model, which :func:`find_model_files` has found."""

    config: Path
    # A file or URL, or a work dir, of which read_model_checkpoint reads the best or newest
    checkpoint: str


@overload
def load(
    config: str | Path,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    score_thr: None = None,
) -> Predictor[Any]: ...


@overload
def load(
    config: str | Path,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    *,
    score_thr: float,
) -> Detector: ...


def load(
    config: str | Path,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    score_thr: float | None = None,
) -> Predictor[Any]:
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
    path = Path(locate_config(str(config))).expanduser()
    file = find_config(path)
    if not file.exists():
        suggestion = suggest_config(path) or suggest_folder(path)
        raise UserError(f'there is no config or work dir {config}{suggestion}')
    if file.suffix != '.py':
        hint = HINTS.get(path.suffix.lower(), '').format(folder=path.parent)
        raise UserError(f'{config} is neither a config file (.py) nor a work dir{hint}')
    source = checkpoint or find_default_checkpoint(path)
    if source is None:
        raise UserError(
            f'{config} comes without weights. Pass a checkpoint after it, or the work dir of a run '
            'instead'
        )
    if checkpoint and not is_url(checkpoint) and not Path(checkpoint).expanduser().is_file():
        raise CheckpointError(f'there is no checkpoint {checkpoint}')
    return ModelFiles(file, str(source))


def find_config(path: str | Path) -> Path:
    """Return a config file, or the config of a work dir.

    Raise a UserError if a work dir does not have exactly one.
    """
    work_dir = Path(path).expanduser()
    if not work_dir.is_dir():
        return work_dir
    configs = sorted(work_dir.glob('*.py'))
    if not configs:
        raise UserError(
            f'{work_dir} is not the work dir of a run: it has no config (*.py). Pass a work dir or '
            'config'
        )
    if len(configs) > 1:
        names = shorten([file.name for file in configs])
        raise UserError(
            f'{work_dir} has several configs ({names}). Pass one of them and a checkpoint, not the '
            'folder'
        )
    return configs[0]


def find_default_checkpoint(config: str | Path) -> Path | None:
    """Return ``config`` itself if it is a work dir, else the weights that are shipped with it, or
    None.
    """
    path = Path(config).expanduser()
    if path.is_dir():
        return path
    weights = path.parent / 'weights' / f'{path.stem}.safetensors'
    return weights if weights.is_file() else None


def read_model_checkpoint(source: str | Path) -> Checkpoint:
    """Read a checkpoint without states of the training: a file, a URL, or the latest best or newest
    of a work dir.
    """
    from ..checkpoints.safe_loading import (
        LAST_CHECKPOINT_FILE,
        read_for_mmengine,
        read_latest_checkpoint,
    )

    if not Path(source).is_dir():
        return read_for_mmengine(str(source), is_resumed=False)
    names = sorted(path.name for path in Path(source).glob('*.pth'))
    if len(names) > 1 and not Path(source, LAST_CHECKPOINT_FILE).is_file():
        raise UserError(
            f'{source} has {len(names)} checkpoints ({shorten(names)}) and no '
            f'{LAST_CHECKPOINT_FILE}, which names that of a run. Pass one of them after it'
        )
    advice = 'Pass another checkpoint after the work dir'
    latest = read_latest_checkpoint(source, advice, prefer_best=True)
    if latest is None:
        raise UserError(
            f'{source} has no checkpoint. Train first, or pass a checkpoint after the work dir'
        )
    return latest


def read_score_thr(config: Path, checkpoint: str) -> float | None:
    """Return the confidence threshold that ``train --data`` chose for a checkpoint of a work dir,
    or None.
    """
    path, file = config.parent / SCORE_THR_FILE, Path(checkpoint)
    if file.parent.resolve() != path.parent.resolve() or not path.is_file():
        return None
    try:
        chosen = json.loads(path.read_text())
        name, digest = chosen['checkpoint'], chosen['sha256']
        score_thr = float(chosen['score_thr'])
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f'{path} is damaged. Remove it, or set a threshold: --score-thr, in Python score_thr'
        ) from None
    if name != file.name or digest != compute_sha256(file):
        return None
    return score_thr
