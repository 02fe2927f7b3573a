"""Processes that end with the one that started them, also where that is killed and can end nothing any more."""

import ctypes
import os
import signal
import sys

# From Linux' <sys/prctl.h>.
PR_SET_PDEATHSIG = 1


def end_with_parent(how: signal.Signals) -> None:
    """Have the kernel send this process a signal when its parent ends; elsewhere than on Linux nothing happens.

    It holds across ``exec``, not for children. By the kernel, because a thread that watches the parent would wait for
    Python's lock, and a process may hang within a collective.

    Args:
        how: SIGTERM for a program that ends others when it is asked to, SIGKILL for one that may hang.

    Raises:
        OSError: The kernel refuses.
    """
    if sys.platform != 'linux':
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(how), 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, f'prctl(PR_SET_PDEATHSIG): {os.strerror(number)}')
