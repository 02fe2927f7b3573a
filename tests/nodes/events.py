"""A tiny model with large batches, and a hook by which a rank, or torchrun, gets a signal or an
error of the disk at a moment of its training.
"""

import errno
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing import active_children
from pathlib import Path
from unittest import mock

import numpy as np
import psutil
import torch
import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS, MODELS

from mmgcvit.engine.interrupts import INTERRUPTS
from mmgcvit.engine.loops import EpochBasedTrainLoop
from mmgcvit.registry import LOOPS

from ..full_disk import fill_at, list_openings
from ..moments import CHANGES
from ..toy import ToyClassifier, ToyImages

LARGEST_FILE = 100_000  # bytes: more than the output of a run has, and less than a checkpoint
BALLAST = 100_000  # bytes in a sample: more than a pipe holds


@MODELS.register_module()
class ClassifierOfLargeBatches(ToyClassifier):
    def forward(self, inputs, labels=None, ballast=None, mode='tensor'):
        return super().forward(inputs, labels, mode)


@DATASETS.register_module()
class LargeImages(ToyImages):
    """Images with a NumPy array, which data workers pass on through a pipe."""

    def __len__(self):
        return 12

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        sample['labels'] = index % 3
        return {**sample, 'ballast': np.zeros(BALLAST, dtype=np.uint8)}


@LOOPS.register_module()
class LateLoop(EpochBasedTrainLoop):
    """A loop in which rank 1 agrees with rank 0 that a validation begins, and then is late: rank 0
    passes a signal of the validation on before rank 1 is there.
    """

    def validate_if_due(self, done, length):
        self.is_before_validation = True
        super().validate_if_due(done, length)
        self.is_before_validation = False

    def save_or_stop(self, *args, **kwargs):
        super().save_or_stop(*args, **kwargs)
        if getattr(self, 'is_before_validation', False) and get_rank() == 1:
            wait_for_signal()


def wait_for_signal():
    """Wait until this process has noted a signal."""
    while not INTERRUPTS.received:
        time.sleep(0.01)


def wait_for_end(process):
    """Wait until a process has ended, whether or not its parent process has noticed it."""
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)


def find_receiver(name):
    """Return the process that gets an event's signal, or None if there is no such process now."""
    if name == 'torchrun':
        return os.getppid()
    if name == 'peer':  # another rank
        return INTERRUPTS.peers[0]
    if name == 'worker':  # of the data of this rank
        return next((worker.pid for worker in active_children()), None)
    return os.getpid()


@HOOKS.register_module()
class EventHook(Hook):
    """Do what the variable EVENTS says, a JSON list of [moment, iteration, rank, event, receiver].
    An event is the number of a signal, or an error of the disk (:func:`fail_writes`). In place of
    the iteration, the moments ``start`` and ``change`` (:func:`kill_at_change`) have a number, and
    ``opening`` the name of a file, from whose opening on the disk is full, or '' to list the files.

    Each event happens once, also if the run is started again: it leaves a file in the folder of the
    variable DONE.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner):
        if get_world_size() > 2:
            runner.model.register_comm_hook(None, average_in_order)

    def meet(self, moment, runner):
        for number, event in enumerate(json.loads(os.environ.get('EVENTS', '[]'))):
            done = Path(os.environ['DONE'], f'{number}')
            if event[:3] != [moment, runner.iter, get_rank()] or done.exists():
                continue
            done.touch()
            if isinstance(event[3], str):
                fail_writes(event[3], runner)
                continue
            receiver = find_receiver(event[4])
            if receiver is None:
                continue
            if event[3] == signal.SIGSTOP:  # the test waits for the end of this process too
                (other,) = INTERRUPTS.peers
                command = f'while kill -0 {other}; do sleep 0.1; done; kill -KILL {os.getpid()}'
                subprocess.Popen(['sh', '-c', command], start_new_session=True)
            os.kill(receiver, event[3])
            if event[4] == 'torchrun':
                wait_for_signal()
            elif event[3] == signal.SIGKILL:
                wait_for_end(receiver)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.meet('iteration', runner)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self.meet('validation', runner)

    def after_val_epoch(self, runner, metrics=None):
        self.meet('scored', runner)

    def before_save_checkpoint(self, runner, checkpoint):
        checkpoint['ballast'] = torch.zeros(LARGEST_FILE)  # of four bytes each
        self.meet('saving', runner)


def fail_writes(error, runner):
    """Let no further checkpoint of this process be written, with an error such as ``'ENOSPC'``, or
    nothing in its logs (``'full_logs'``).
    """
    if error == 'full_logs':
        scalars = Path(runner.log_dir, 'vis_data', 'scalars.json')
        scalars.unlink(missing_ok=True)
        scalars.symlink_to('/dev/full')
    elif error == 'EFBIG':
        resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST_FILE, LARGEST_FILE))
    else:
        number = getattr(errno, error)
        mock.patch('os.fsync', side_effect=OSError(number, os.strerror(number))).start()


def average_in_order(_, bucket):
    """Average gradients in the order of the ranks.

    DistributedDataParallel packs them anew after the first iteration of a process, and a sum of
    more than two numbers depends on their place.
    """
    gradients = [torch.empty_like(bucket.buffer()) for _ in range(get_world_size())]
    dist.all_gather(gradients, bucket.buffer())
    future = torch.futures.Future()
    future.set_result(sum(gradients) / len(gradients))
    return future


def rename_host():
    """Let this rank be on a machine of its own, as far as it can see."""
    name = f'node{os.environ["RANK"]}'
    mock.patch.object(socket, 'gethostname', return_value=name).start()


def meet_at_start():
    """Meet the events of a start, while the config is read."""
    for number, event in enumerate(json.loads(os.environ.get('EVENTS', '[]'))):
        done = Path(os.environ.get('DONE', ''), f'{number}')
        if event[0] == 'start' and event[2] == int(os.environ['RANK']) and not done.exists():
            done.touch()
            os.kill(os.getpid(), event[3])
            time.sleep(60)  # as a rank that waits for others


def kill_at_change(number, change):
    """Kill this process at a change of a file in its work dir: before it opens it for writing, or
    renames or removes it.
    """
    done = Path(os.environ['DONE'], f'{number}')
    work_dir = os.environ['DONE'].removesuffix('_done')
    process = os.getpid()
    num_changes = 0

    def count_changes(event, arguments):
        nonlocal num_changes
        is_ours = event in CHANGES and str(arguments[0]).startswith(f'{work_dir}{os.sep}')
        if not is_ours or os.getpid() != process:
            return
        if event == 'open' and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        num_changes += 1
        if num_changes == change and not done.exists():
            done.touch()
            os.kill(process, signal.SIGKILL)

    sys.addaudithook(count_changes)


def watch_changes():
    """Meet the events of the moments ``change`` and ``opening``."""
    folder = Path(os.environ['DONE'].removesuffix('_done'))
    for number, event in enumerate(json.loads(os.environ.get('EVENTS', '[]'))):
        moment, what, rank, *_ = event
        if rank != int(os.environ['RANK']):
            continue
        if moment == 'change':
            kill_at_change(number, what)
        elif moment == 'opening' and what:
            fill_at(folder, what)
        elif moment == 'opening':
            list_openings(folder, folder.with_name(f'{folder.name}_openings'))


if 'NODES' in os.environ:
    rename_host()
if 'EVENTS' in os.environ:
    meet_at_start()
    watch_changes()
