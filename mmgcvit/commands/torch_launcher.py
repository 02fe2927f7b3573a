"""torch's launcher, through which a scheduler's warning reaches the processes, and their answer the scheduler.

    python -m mmgcvit.commands.torch_launcher [options of torch.distributed.run] PROGRAM [arguments]

By itself it answers SIGTERM with a SIGTERM to its processes, which it kills 30 seconds later, and an exit code of 1
whatever they have ended with; on SIGUSR1 it dies.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from torch.distributed import run
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from ..engine.early_end import RESUME_ME, WARNINGS
from ..engine.processes import end_with_parent

# What torch's launcher leaves to others.
PASSED_ON = signal.SIGUSR1


def start(command: list[str], environment: dict[str, str]) -> subprocess.Popen:
    """Start this module, or one that calls it, as a child, which ends with this process and is told of its warnings."""
    # SIGTERM, upon which torch's launcher ends its processes.
    child = subprocess.Popen(command, env=environment, preexec_fn=partial(end_with_parent, signal.SIGTERM))
    for number in WARNINGS:
        signal.signal(number, lambda *_: child.send_signal(PASSED_ON))
    # Ctrl-C reaches the child too.
    signal.signal(signal.SIGINT, lambda *_: None)
    return child


def exit_code(child: subprocess.Popen) -> int:
    """The exit code of a child that has ended, as shells count signals."""
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def launch(arguments: Sequence[str]) -> None:
    """Call torch's launcher in this process, and pass on what this process is told.

    Args:
        arguments: For ``torch.distributed.run``.

    Raises:
        SystemExit: With :data:`RESUME_ME` where that is how processes ended, and none failed.
    """
    signal.signal(PASSED_ON, pass_on)
    try:
        run.main(arguments)
    except ChildFailedError as error:
        codes = {failure.exitcode for failure in error.failures.values()}
        if RESUME_ME in codes and codes <= {RESUME_ME, -signal.SIGTERM}:
            raise SystemExit(RESUME_ME) from None
        raise


def pass_on(number: int, frame: FrameType | None) -> None:
    """Send the processes a signal that this one has got."""
    own = os.getpid()
    for child in Path(f'/proc/{own}/task/{own}/children').read_text().split():
        os.kill(int(child), number)


if __name__ == '__main__':
    launch(sys.argv[1:])
