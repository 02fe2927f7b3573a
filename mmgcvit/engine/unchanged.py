"""Remember which data a run has checked, so that a resumed run does not check them again."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from ..datasets.checks.sources import find_format, iter_datasets
from ..files import write_text
from ..runs import CHECKED_FILE


def hash_data_state(cfg: Config, loaders: Sequence[str]) -> str | None:
    """Return a hash of what the checks of these dataloaders depend on, or None if that cannot be
    seen without reading the data.

    That is the config's datasets, evaluators and model, and path, size and time of each annotation file.
    Folders of images with a label or a map each have no such file.
    """
    described = [cfg.get('model'), cfg.get('data_checks'), cfg.get('val_cfg')]
    described += [cfg.get(loader.replace('dataloader', 'evaluator')) for loader in loaders]
    for loader, settings in iter_datasets(cfg, loaders):
        if find_format(settings) != 'coco':
            return None
        path = Path(settings.get('data_root') or '', settings.ann_file)
        try:
            state = path.stat()
        except OSError:
            return None
        described.append([loader, settings, str(path.absolute()), state.st_size, state.st_mtime_ns])
    text = json.dumps(described, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def is_checked(work_dir: Path, state: str | None) -> bool:
    """Return whether the last run in this work dir has found no fault in the same data."""
    try:
        return state is not None and (work_dir / CHECKED_FILE).read_text() == state
    except (OSError, UnicodeDecodeError):
        return False


def note_checked(work_dir: Path, state: str | None) -> None:
    """Note that these data have no fault that stops a run."""
    if state is not None:
        write_text(work_dir / CHECKED_FILE, state)
