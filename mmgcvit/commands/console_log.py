"""The file that takes what a run prints while its screen shows progress: ``console_<time>.log`` in its work dir."""

import time
from pathlib import Path

LINES_OF_A_FAILURE = 15


def new_log(work_dir: Path, rank: int = 0) -> Path:
    """Make the log of a process, in a work dir that need not be there yet."""
    work_dir.mkdir(parents=True, exist_ok=True)
    log = work_dir / f'console_{time.strftime("%Y%m%d_%H%M%S")}{f"_rank{rank}" if rank else ""}.log'
    log.touch()
    return log


def newest_log(work_dir: Path) -> Path | None:
    """The log of the latest run."""
    return max(work_dir.glob('console_*.log'), default=None)


def last_lines(log: Path) -> str:
    """What to say of a run that failed: the end of its log, and where it is."""
    lines = log.read_text(encoding='utf-8', errors='replace').splitlines()[-LINES_OF_A_FAILURE:]
    return '\n'.join(['the last lines of its log:', *(f'  | {line}' for line in lines), f'whole log: {log}'])
