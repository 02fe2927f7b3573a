"""The folder that a run writes to."""

import os
from pathlib import Path


def make_work_dir(work_dir: str) -> None:
    """Make a run's folder, with those above it, unless it is there.

    Raises:
        SystemExit: It cannot be made, or nothing can be written into it.
    """
    try:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror
    else:
        reason = None if os.access(work_dir, os.W_OK | os.X_OK) else 'it is not writable'
    if reason is not None:
        raise SystemExit(f'the work dir {work_dir} cannot be used ({reason}): name another one with --work-dir')
