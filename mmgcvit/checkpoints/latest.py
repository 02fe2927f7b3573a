"""Find and read the latest checkpoint of a work dir."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

from mmengine.logging import print_log

from ..errors import CheckpointError, escape_controls, shorten
from .safe_loading import Checkpoint, read_for_mmengine

# mmengine stores the path of the last checkpoint in this file.
LAST_CHECKPOINT_FILE = 'last_checkpoint'
RESUMABLE_NAME = re.compile(r'(epoch|iter)_\d+\.pth')


def read_latest_checkpoint(
    work_dir: str | Path,
    advice: str = 'Use another checkpoint',
    read: Callable[[str], Checkpoint] = read_for_mmengine,
    prefer_best: bool = False,
) -> Checkpoint | None:
    """Read the latest readable checkpoint of a work dir. Return None if the work dir has no checkpoint.

    The latest is the checkpoint whose path is in the file ``last_checkpoint``. If it is truncated or missing, the
    newest of the others is taken. With ``prefer_best``, the newest ``best_*.pth`` comes first, as mmengine names the
    checkpoint with the best validation score. The log warns of unreadable checkpoints, for which ``read`` raises an
    error.

    Raises:
        CheckpointError: The work dir has checkpoints, but none can be read. The message ends with ``advice``.
    """
    work_dir = Path(work_dir)
    newest_first = sorted(work_dir.glob('*.pth'), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    best = [path for path in newest_first if prefer_best and path.name.startswith('best_')]
    file = work_dir / LAST_CHECKPOINT_FILE
    named = file.read_text(errors='replace').strip() if file.is_file() else ''
    # Look in the work dir first, because it may have been moved or copied since.
    last = [path for path in (work_dir / Path(named).name, Path(named)) if named and path.is_file()]
    others = [path for path in newest_first if RESUMABLE_NAME.fullmatch(path.name)]
    unreadable = []
    for path in dict.fromkeys([*best, *last[:1], *others]):
        try:
            return read(str(path))
        except (CheckpointError, OSError) as error:
            unreadable.append(path.name)
            print_log(escape_controls(f'skipped: {error}'), 'current', logging.WARNING)
    if unreadable:
        raise CheckpointError(f'{work_dir} has no readable checkpoint (damaged: {shorten(unreadable)}). {advice}')
    return None
