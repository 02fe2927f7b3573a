"""The folder of a run, its work dir: what is in it, and who may write it.

This file alone knows the names of a run's files, but for what a training on folders of data makes
before it starts (``own/runs/made.py``):

=======================  =========================================================================
``*.py``                 the config, written after the first iteration
``epoch_N.pth``          a checkpoint, or ``iter_N.pth``; ``best_METRIC_epoch_N.pth``: the best
``last_checkpoint``      the path of the last checkpoint
``validated``            the epoch or iteration of the last complete validation
``val_images``           grids of validation images
``score_thr.json``       of a run on a folder of data: the thresholds of a detector
``.lock``                the process that trains
``.checked``             which data the last start has checked
``TIME/vis_data``        the logs, with a copy of the config
``TIME/interrupted``     the number of the signal that has ended a rank of the start at TIME
=======================  =========================================================================

Importing it does not import torch, so that commands can reject wrong paths at once.
"""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import CheckpointError, UserError, shorten
from ..host.config import read_config
from ..host.files import write_text
from .lock import lock_folder

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..checkpoints.safe_loading import Checkpoint

# In it mmengine stores the path of the last checkpoint.
LAST_CHECKPOINT_FILE = 'last_checkpoint'
RESUMABLE_NAME = re.compile(r'(epoch|iter)_\d+\.pth')
# Resumable checkpoints, and the best ones.
RUN_FILE_NAME = re.compile(rf'(best_.+_)?{RESUMABLE_NAME.pattern}')
VALIDATED_FILE = 'validated'
VAL_IMAGES_FOLDER = 'val_images'
SCORE_THR_FILE = 'score_thr.json'
LOCK_FILE = '.lock'
CHECKED_FILE = '.checked'
INTERRUPTED_FILE = 'interrupted'
LOGGED_CONFIGS = '*/vis_data/config.py'
LOGGED_SCALARS = '*/vis_data/scalars.json'


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run. Its config is read once."""

    path: Path

    def list_configs(self) -> list[Path]:
        return sorted(self.path.glob('*.py'))

    def list_written_configs(self) -> list[Path]:
        """List the configs that runs have written: they are also in the logs. Users may have other
        files here.
        """
        written = {path.read_bytes() for path in self.path.glob(LOGGED_CONFIGS)}
        files = []
        for path in self.list_configs():
            with suppress(OSError):  # a folder, or a file that cannot be read
                if path.read_bytes() in written:
                    files.append(path)
        return files

    def is_started(self) -> bool:
        """Return whether a run has written its config here, which it does after an iteration."""
        if not self.list_configs():
            return False
        has_checkpoints = (self.path / LAST_CHECKPOINT_FILE).is_file()
        return has_checkpoints or bool(self.list_written_configs())

    @cached_property
    def config_file(self) -> Path:
        """The config of the run. Raise a UserError if the folder does not have exactly one."""
        configs = self.list_configs()
        if len(configs) > 1:
            configs = self.list_written_configs() or configs
        if len(configs) != 1:
            names = shorten([file.name for file in configs]) or 'none'
            raise UserError(
                f'{self.path} is not the work dir of a run, which has one config (*.py): it has '
                f'{names}. Pass a work dir, or a config and a checkpoint'
            )
        return configs[0]

    @cached_property
    def config(self) -> 'Config':
        """The config of the run as it is written, whose paths are those of its last start."""
        return read_config(self.config_file)

    def list_checkpoints(self) -> list[Path]:
        """List the checkpoints and the file ``last_checkpoint``."""
        files = [path for path in self.path.glob('*.pth') if RUN_FILE_NAME.fullmatch(path.name)]
        files += self.path.glob(LAST_CHECKPOINT_FILE)
        return sorted(filter(Path.is_file, files))  # those of DeepSpeed are folders

    def check_unused(self) -> None:
        """Raise a CheckpointError if there are checkpoints of an earlier run."""
        names = [path.name for path in self.list_checkpoints()]
        if names:
            raise CheckpointError(
                f"{self.path} has an earlier run's checkpoints ({shorten(names)}). Resume it, set "
                'another work_dir, or overwrite them',
                arguments=['resume', 'work_dir', 'overwrite'],
            )

    def list_leftovers(self) -> list[Path]:
        """List what a run has left that a new one would replace: all but its logs and what it made
        before it started.
        """
        files = [*self.list_written_configs(), *self.list_checkpoints()]
        for pattern in (
            VALIDATED_FILE,
            SCORE_THR_FILE,
            f'{VAL_IMAGES_FOLDER}/epoch_*.jpg',
            f'{VAL_IMAGES_FOLDER}/iter_*.jpg',
        ):
            files += self.path.glob(pattern)
        return files

    def list_logs(self) -> list[Path]:
        """List the files of scalars, a file for each start, the oldest first."""
        return sorted(self.path.glob(LOGGED_SCALARS))

    def read_latest_checkpoint(self, advice: str = 'Use another checkpoint') -> 'Checkpoint | None':
        """Read the checkpoint with which the run resumes: the one that is named in
        ``last_checkpoint``, else the newest. Return None for none.

        If a checkpoint cannot be read (:func:`.read_for_mmengine`), a warning is logged and the
        next one is read. If none can be read, raise a CheckpointError that ends with ``advice``.
        """
        return self.read_first(self.list_resumable(), advice, is_resumed=True)

    def read_best_checkpoint(self) -> 'Checkpoint':
        """Read the newest of the best checkpoints, else the one with which the run resumes, without
        the states of the training. One that cannot be read is skipped, as there.

        Raise a UserError if there is none, or if several files may be it.
        """
        names = sorted(path.name for path in self.path.glob('*.pth'))
        if len(names) > 1 and not (self.path / LAST_CHECKPOINT_FILE).is_file():
            raise UserError(
                f'{self.path} has {len(names)} checkpoints ({shorten(names)}) and no '
                f'{LAST_CHECKPOINT_FILE}, which names that of a run. Pass one of them after it'
            )
        advice = 'Pass another checkpoint after the work dir'
        best = [path for path in self.list_newest_first() if path.name.startswith('best_')]
        checkpoint = self.read_first([*best, *self.list_resumable()], advice, is_resumed=False)
        if checkpoint is None:
            raise UserError(f'{self.path} has no checkpoint. Train first. {advice}')
        return checkpoint

    def read_first(
        self, paths: Sequence[Path], advice: str, is_resumed: bool
    ) -> 'Checkpoint | None':
        """Read the first checkpoint that can be read, and log a warning for each before it. Return
        None for no paths.

        Raise a CheckpointError that ends with ``advice`` if none can be read.
        """
        from ..checkpoints.safe_loading import read_for_mmengine
        from ..host.runners import log_warning

        unreadable = []
        for path in dict.fromkeys(paths):
            try:
                return read_for_mmengine(str(path), self.path, is_resumed)
            except (CheckpointError, OSError) as error:
                unreadable.append(path.name)
                log_warning(f'skipped: {error}')
        if unreadable:
            raise CheckpointError(
                f'{self.path} has no readable checkpoint (damaged: {shorten(unreadable)}). {advice}'
            )
        return None

    def list_newest_first(self) -> list[Path]:
        """List the checkpoint files of the folder, the newest first."""
        return sorted(self.path.glob('*.pth'), key=lambda path: -path.stat().st_mtime_ns)

    def list_resumable(self) -> list[Path]:
        """List the checkpoints with which the run may resume, in the order in which they are
        tried.
        """
        last = self.find_last_checkpoint()
        others = [path for path in self.list_newest_first() if RESUMABLE_NAME.fullmatch(path.name)]
        return [last, *others] if last else others

    def find_last_checkpoint(self) -> Path | None:
        """Return the checkpoint that is named in ``last_checkpoint``, or None."""
        last_file = self.path / LAST_CHECKPOINT_FILE
        if not last_file.is_file():
            return None
        last = Path(last_file.read_text(errors='replace').strip())
        # The run may have been renamed, moved or copied since. The folder that it names may be that
        # of another run by now. A folder of checkpoints only (out_dir of mmengine's CheckpointHook)
        # has no file last_checkpoint.
        if (self.path / last.name).is_file():
            return self.path / last.name
        is_of_other_run = (last.parent / LAST_CHECKPOINT_FILE).is_file()
        return last if last.is_file() and not is_of_other_run else None

    def write_validated(self, position: str) -> None:
        """Write the position of the last complete validation, such as 'epoch 3'."""
        write_text(self.path / VALIDATED_FILE, position)

    def is_validated(self, position: str) -> bool:
        """Return whether the last complete validation was at this position."""
        file = self.path / VALIDATED_FILE
        return file.is_file() and file.read_text(errors='replace') == position

    def lock(self) -> AbstractContextManager[None]:
        """Create the folder and lock it against other trainings (:func:`.lock_folder`)."""
        return lock_folder(self.path, LOCK_FILE)
