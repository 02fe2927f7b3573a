"""Check the data of a run, unless the run that it resumes has checked the same ones."""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.dist import get_world_size
from rich.progress import Progress

from ..datasets.checks.datasets import check_datasets
from ..datasets.checks.sources import check_presence, find_format, get_check_settings
from ..datasets.mirroring import find_mirroring
from ..errors import UserError, escape_controls
from ..host.config import enter_scope
from ..host.datasets import iter_datasets
from ..host.files import write_text
from ..runs.folder import CHECKED_FILE


def check_data(cfg: Config, dataloaders: Sequence[str]) -> None:
    """Check the datasets of dataloaders.

    Print issues that do not stop the run, and raise a UserError for others. With
    ``data_checks.images=0``, look only for annotation files and folders.
    """
    check_presence(cfg, dataloaders)
    enter_scope(cfg)
    if get_check_settings(cfg)['images'] == 0:
        return
    state = hash_data_state(cfg, dataloaders)
    if cfg.get('resume') and is_checked(Path(cfg.work_dir), state):
        sys.stderr.write('data: not checked again, since the annotation files are as before\n')
        return
    if get_world_size() > 1:
        sys.stderr.write(
            'data: rank 0 checks annotations and images (data_checks); the other ranks wait\n'
        )
    for note in find_problems(cfg, dataloaders):
        sys.stderr.write(f'data: {escape_controls(note)}\n')
    if 'train_dataloader' in dataloaders:  # else nothing has locked the work dir
        note_checked(Path(cfg.work_dir), state)


def find_problems(cfg: Config, dataloaders: Sequence[str]) -> list[str]:
    """Return a line for each problem of the datasets that does not stop a run.

    Raise a UserError if others do.
    """
    settings = get_check_settings(cfg)
    report = check_datasets(
        cfg,
        loaders=dataloaders,
        num_images=settings['images'],
        progress=Progress(disable=True),
    )
    errors = report.format_messages()
    if errors:
        errors.append("To check all images, run 'mmgcvit check-data CONFIG'")
        raise UserError('\n'.join(errors))
    notes = [*report.format_messages(stops_run=False), *report.notes]
    if 'train_dataloader' in dataloaders and settings['mirroring']:
        notes += find_mirroring(cfg)
    return notes


def hash_data_state(cfg: Config, loaders: Sequence[str]) -> str | None:
    """Return a hash of what the checks of these dataloaders depend on, or None if that cannot be
    seen without reading the data.

    That is the config's datasets, evaluators and model, and path, size and time of each annotation
    file. Folders of images with a label or a map each have no such file.
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
