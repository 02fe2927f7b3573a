"""Find the config of a trained model, and read its checkpoint."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import CONFIG_SUFFIXES, is_config, suggest_config
from ..errors import CheckpointError, UserError, shorten
from ..files import compute_sha256, suggest_folder

if TYPE_CHECKING:
    from ..checkpoints.safe_loading import Checkpoint

# In a work dir: the name and SHA-256 of a checkpoint, and the confidence threshold chosen on the
# validation images.
SCORE_THR_FILE = 'score_thr.json'
# Advice if a file with this suffix is passed instead of a config.
HINTS = {
    **dict.fromkeys(
        ('.pth', '.pt', '.safetensors'),
        '. Pass its work dir instead ({folder}), or CONFIG CHECKPOINT',
    ),
    '.onnx': '. To run an ONNX file, use OnnxPredictor (docs/deploy.md)',
}


def read_model_checkpoint(source: str | Path) -> Checkpoint:
    """Read a checkpoint without states of the training: a file, a URL, or the latest best or newest
    of a work dir.
    """
    from ..checkpoints.safe_loading import read_for_mmengine, read_latest_checkpoint

    read = partial(read_for_mmengine, is_resumed=False)
    if not Path(source).is_dir():
        return read(str(source))
    latest = read_latest_checkpoint(
        source, 'Pass another checkpoint after the work dir', read, prefer_best=True
    )
    if latest is None:
        raise UserError(
            f'{source} has no checkpoint. Train first, or pass a checkpoint after the work dir'
        )
    return latest


def check_model_files(config: str | Path, checkpoint: str | Path | None = None) -> str:
    """Return a model's checkpoint, by default the config's.

    Raise a UserError if it or the config does not exist.
    """
    path = Path(config).expanduser()
    if path.is_dir():
        find_config(path)
    elif not is_config(path):
        if not path.exists():
            raise UserError(
                'there is no config or work dir '
                f'{config}{suggest_config(path) or suggest_folder(path)}'
            )
        hint = HINTS.get(path.suffix, '').format(folder=path.parent)
        raise UserError(
            f'{config} is neither a config file ({", ".join(CONFIG_SUFFIXES)}) nor a work dir{hint}'
        )
    elif checkpoint is None and not find_default_checkpoint(path):
        raise UserError(
            f'{config} comes without weights. Pass a checkpoint after it, or the work dir of a run '
            'instead'
        )
    if (
        checkpoint is not None
        and '://' not in str(checkpoint)
        and not Path(checkpoint).expanduser().is_file()
    ):
        raise CheckpointError(f'there is no checkpoint {checkpoint}')
    return str(checkpoint or find_default_checkpoint(config))


def find_default_checkpoint(config: str | Path) -> Path | None:
    """Return ``config`` itself if it is a work dir, else the weights that are shipped with it, or
    None.
    """
    path = Path(config).expanduser()
    weights = path.parent / 'weights' / f'{path.stem}.safetensors'
    return path if path.is_dir() else weights if weights.is_file() else None


def read_score_thr(config: Path, checkpoint: str) -> float | None:
    """Return the confidence threshold that ``train --data`` chose for a checkpoint of a work dir,
    or None.
    """
    path = config.parent / SCORE_THR_FILE
    if Path(checkpoint).parent.resolve() != config.parent.resolve() or not path.is_file():
        return None
    try:
        chosen = json.loads(path.read_text())
        if chosen['checkpoint'] != Path(checkpoint).name:
            return None
        digest = chosen.get('sha256')  # earlier versions did not write it
        return (
            float(chosen['score_thr'])
            if digest in (None, compute_sha256(Path(checkpoint)))
            else None
        )
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f'{path} is damaged. Remove it, or set a threshold: --score-thr, in Python score_thr'
        ) from None


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
        names = shorten([path.name for path in configs])
        raise UserError(
            f'{work_dir} has several configs ({names}). Pass one of them and a checkpoint, not the '
            'folder'
        )
    return configs[0]
