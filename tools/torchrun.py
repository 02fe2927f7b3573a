"""torchrun with the exit code of the rank that has failed first, or 143 after a signal.

A scheduler starts a job again whose exit code says that it was preempted. torchrun's is always 1.
"""

import signal
import sys
from types import FrameType

PREEMPTED = 128 + signal.SIGTERM


def end(number: int, frame: FrameType | None) -> None:
    sys.exit(PREEMPTED)


# While torch is imported, there are no ranks yet. Then torchrun handles the signals.
for number in (signal.SIGHUP, signal.SIGUSR1):
    if signal.getsignal(number) is signal.SIG_DFL:
        signal.signal(number, end)

from torch.distributed.elastic.multiprocessing.api import SignalException  # noqa: E402
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: E402
from torch.distributed.run import main  # noqa: E402

if __name__ == '__main__':
    try:
        main()
    except SignalException as error:
        sys.exit(130 if error.sigval == signal.SIGINT else PREEMPTED)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        sys.stderr.write(f'{error}\n')
        code = failure.exitcode  # minus the number of the signal that has killed the rank
        sys.exit(128 - code if code < 0 else max(code, 1))
