"""Prepare the other ranks and the data workers of a training for signals."""

import os
import socket
from functools import partial
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, is_distributed
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..interrupts import INTERRUPTS, start_worker


class SignalHook(Hook):
    """Pass a signal on to the other ranks of the machine, which may wait for data for long, and let
    data workers ignore signals.
    """

    # Run before the hook that reruns an interrupted validation.
    priority = 'HIGH'

    def before_train(self, runner: Runner) -> None:
        if is_distributed():
            INTERRUPTS.peers = list_local_ranks()
        for loop in (runner.train_loop, runner.val_loop):
            if loop is not None:
                # torch reads this attribute when it starts workers.
                start = partial(start_worker, loop.dataloader.worker_init_fn)
                loop.dataloader.worker_init_fn = start

    def before_val_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        INTERRUPTS.raise_received()  # a signal at the fork of a data worker would be lost

    def before_test_iter(self, runner: Runner, *args: Any, **kwargs: Any) -> None:
        INTERRUPTS.raise_received()


def list_local_ranks() -> list[int]:
    """Return the process ids of the other ranks on this machine and in this container."""
    namespace = Path('/proc/self/ns/pid')  # only Linux has them
    machine = socket.gethostname(), namespace.readlink() if namespace.exists() else None
    ranks = all_gather_object((machine, os.getpid()))
    return [pid for place, pid in ranks if place == machine and pid != os.getpid()]
