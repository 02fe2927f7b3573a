"""Run commands of this package one after the other, each in a process of its own."""

import signal
import subprocess
import sys
import time


def end_steps_when_terminated() -> None:
    """Have SIGTERM end this process as an exception does, so that ``subprocess`` ends the step that it waits for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def run(name: str, *arguments: object, processes: int | None = None) -> float:
    """Run a command, with ``processes`` under torchrun; gives the seconds that it took.

    Raises:
        SystemExit: The command failed; it has said why, unless a signal has ended it.
    """
    began = time.monotonic()
    command = ['-m', 'mmgcvit', name, *map(str, arguments)]
    if processes is not None:
        launcher = ['-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={processes}']
        command = [*launcher, *command, '--launcher', 'pytorch']
    code = subprocess.run([sys.executable, *command]).returncode
    if code < 0:
        raise SystemExit(f'{name} was ended by {signal.Signals(-code).name}')
    if code:
        raise SystemExit(code)
    return time.monotonic() - began
