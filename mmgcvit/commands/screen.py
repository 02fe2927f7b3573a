"""What a run shows on the screen: its log without the dumps, or with ``--progress`` how it gets on.

mmengine logs to the terminal from the first moment on, hosts print, libraries warn. With ``--progress`` all of it goes
to a file, as with the shell's ``> FILE 2>&1``, and the terminal is left to the display.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ..errors import UserError, is_full_disk

INTERRUPTED = 128 + signal.SIGINT
STDOUT, STDERR = 1, 2
LINES_OF_A_FAILURE = 15
# Warnings in logs.
NEEDLESS = re.compile(
    # mmengine's CheckpointHook warns of its own use of both.
    r'"FileClient" will be deprecated|"HardDiskBackend" is the alias'
    # mmseg calls its scores aAcc, mIoU, mAcc.
    r'|The prefix is not set in metric class'
    # Hosts have no registry of functions: mmengine's is the one that is meant.
    r'|Failed to search registry with scope "\w+" in the "function" registry tree'
)
# Python's, by their beginnings: of mmdet's second metric, which nothing here uses; of mmseg's defaults, which its own
# configs have; of loaders, on a machine without a GPU.
NEEDLESS_WARNINGS = (
    'faster_coco_eval is not installed|Default ``avg_non_ignore`` is False|`reduce_zero_label` will be deprecated'
    "|'pin_memory' argument is set as true but no accelerator"
)
# What hosts print, and what runners log before they begin: hundreds of lines.
DUMPS = re.compile(
    r'^Could not import OneDL|INFO(\x1b\[0m)? - '
    r'(\n-+\nSystem environment:|Config:\n|Hooks will be executed|paramwise_options --|mmcv has no compiled operators)'
)
# A dump is known by its beginning.
LONGEST_BEGINNING = 400

if TYPE_CHECKING:
    from mmengine.config import Config
    from mmengine.runner import FlexibleRunner, Runner

    from ..engine.beginning import Beginning
    from ..engine.progress import Display


class WithoutNoise:
    """A stream that leaves out such lines, and is the other one in everything else."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.left_out = False

    def write(self, text: str) -> int:
        beginning = text[:LONGEST_BEGINNING]
        # print writes the end of a line by itself.
        is_its_end = self.left_out and text == '\n'
        self.left_out = bool(DUMPS.search(beginning) or NEEDLESS.search(beginning))
        return len(text) if self.left_out or is_its_end else self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def without_noise() -> Iterator[None]:
    """Leave noise out of what a command prints and warns of; it has the process to itself.

    That is what the hosts say that nobody who calls a command can use or change; a run's log has it. With
    MMGCVIT_VERBOSE=1 in the environment all of it is shown.
    """
    if os.environ.get('MMGCVIT_VERBOSE') == '1':
        yield
        return
    with warnings.catch_warnings(), redirect_stdout(WithoutNoise(sys.stdout)):
        # Python's own way to ask for them: -W and PYTHONWARNINGS.
        if not sys.warnoptions:
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter('ignore', category)
            # Of odd metadata, and of images that are large but not too large.
            warnings.filterwarnings('ignore', module='PIL')
            warnings.filterwarnings('ignore', message=NEEDLESS_WARNINGS)
        yield


def add_progress_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--progress', action='store_true', help='show a bar, losses and scores instead of the log, which goes to a file'
    )


@contextmanager
def open_screen(cfg: Config, progress: bool, beginning: Beginning) -> Iterator[None]:
    """The screen for a run, as a context around it, within that of its beginning.

    With ``progress`` it shows how the run gets on, and all that is printed goes to ``<work_dir>/console_<time>.log``,
    whose last lines are said where the run fails; a refusal takes it away.
    """
    if not progress:
        yield
        return
    rank = 0 if cfg.launcher == 'none' else int(os.environ['RANK'])
    log = new_log(beginning.logs, rank)
    beginning.files.append(log)
    with output_to(log) as terminal:
        if rank:
            # Of several processes the first shows them all.
            yield
            return
        from ..engine.progress import Display

        display = Display(terminal)
        display.line(f'log: {log}')
        beginning.watch = partial(show_progress, display=display)
        try:
            yield
        finally:
            display.close()


def show_progress(runner: Runner | FlexibleRunner, display: Display) -> None:
    """Have a display told of progress, and of the log's warnings and errors, once and but for :data:`NEEDLESS` ones."""
    from mmengine.logging.logger import FilterDuplicateWarning

    from ..engine.progress import TO_STAY, ProgressHook

    def emit(record: logging.LogRecord) -> None:
        level = f'{record.levelname.lower()}: ' if record.levelno >= logging.WARNING else ''
        display.line(f'{level}{record.getMessage()}')

    shown = logging.Handler()
    shown.emit = emit
    shown.addFilter(lambda record: record.levelno >= logging.WARNING or hasattr(record, TO_STAY))
    shown.addFilter(FilterDuplicateWarning())
    shown.addFilter(lambda record: not NEEDLESS.search(record.getMessage()))
    runner.register_hook(ProgressHook(display))
    runner.logger.addHandler(shown)


@contextmanager
def output_to(log: Path) -> Iterator[TextIO]:
    """Have a file take what this process and those that it starts print, a traceback last; gives the terminal.

    Where a run fails by a fault, the last lines of the log are said, and where it is.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {stream: os.dup(stream) for stream in (STDOUT, STDERR)}
    failed = False
    try:
        with (
            os.fdopen(kept[STDOUT], 'w', encoding='utf-8', errors='replace', closefd=False) as terminal,
            log.open('a', encoding='utf-8', errors='replace', buffering=1) as file,
            redirect_stdout(file),
            redirect_stderr(file),
        ):
            for stream in kept:
                os.dup2(file.fileno(), stream)
            try:
                yield terminal
            except Exception as error:
                # Others say by themselves what a user can do.
                failed = not (isinstance(error, UserError) or is_full_disk(error))
                if failed:
                    traceback.print_exc()
                raise
            finally:
                terminal.flush()
                for stream, copy in kept.items():
                    os.dup2(copy, stream)
                    os.close(copy)
    except KeyboardInterrupt:
        sys.stderr.write(f'interrupted; log: {log}\n')
        raise SystemExit(INTERRUPTED) from None
    except Exception:
        if failed:
            raise SystemExit(f'failed; {last_lines(log)}') from None
        raise


def new_log(work_dir: Path, rank: int = 0) -> Path:
    """Make the log of a process, in a work dir that need not be there yet."""
    work_dir.mkdir(parents=True, exist_ok=True)
    log = work_dir / f'console_{time.strftime("%Y%m%d_%H%M%S")}{f"_rank{rank}" if rank else ""}.log'
    log.touch()
    return log


def newest_log(work_dir: Path) -> Path | None:
    return max(work_dir.glob('console_*.log'), default=None)


def last_lines(log: Path) -> str:
    """What to say of a run that failed: the end of its log, and where it is."""
    lines = log.read_text(encoding='utf-8', errors='replace').splitlines()[-LINES_OF_A_FAILURE:]
    return '\n'.join(['the last lines of its log:', *(f'  | {line}' for line in lines), f'whole log: {log}'])
