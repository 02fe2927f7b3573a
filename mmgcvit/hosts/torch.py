"""What torch needs help with: the end of a process that was joined to others over gloo."""

import logging
import os
import sys

import torch.distributed as dist


def leave_processes(code: int = 0) -> None:
    """At the end of a run, take leave of the other processes, and exit where there is a code other than 0.

    Over gloo the process ends here, its files written: otherwise torch now and then aborts a finished one ("terminate
    called without an active exception"), and the launcher calls the whole run failed. Seen in a backtrace with torch
    2.13 on Python 3.11: a thread of ``ProcessGroupGloo::runLoop`` drops the last all-reduce of DDP, with it a Python
    object, and asks for the interpreter's lock for that; Python, which is ending, ends the thread instead, within a
    destructor, where C++ allows no such thing. ``destroy_process_group`` before the end does not help. To be
    removed once Python 3.14, which lets such threads wait, is the oldest supported.
    """
    if dist.is_initialized() and dist.get_backend() == 'gloo':
        dist.barrier()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if dist.is_initialized():
        dist.destroy_process_group()
    if code:
        sys.exit(code)
