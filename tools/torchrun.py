"""torchrun with the exit code of the rank that has failed first, or 143 after a signal.

A scheduler starts a job again whose exit code says that it was preempted. torchrun's is always 1.
"""

import signal
import sys

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

if __name__ == '__main__':
    try:
        main()
    except SignalException as error:
        number = error.sigval if error.sigval == signal.SIGINT else signal.SIGTERM
        sys.exit(128 + number)
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        sys.stderr.write(f'{error}\n')
        sys.exit(max(failure.exitcode, 1))
