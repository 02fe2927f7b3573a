"""Data workers end with their training, and signals end a rank that starts, wherever it waits."""

import ctypes
import os
import signal
import time
from contextlib import nullcontext, suppress
from functools import partial
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader, Dataset

from mmgcvit.engine import interrupts
from mmgcvit.engine.hooks.signals import SignalHook
from mmgcvit.engine.interrupts import (
    INTERRUPTS,
    DataTimeoutError,
    end_at_signals,
    handle_signals,
    start_worker,
)

SECONDS = 60
NUM_WORKERS = 2
NUM_LOADED = 1 + 2 * NUM_WORKERS  # samples: the one that was read, and two ahead for each worker


class LargeSamples(Dataset):
    """Samples that do not fit into a pipe, so that a worker waits until they are read.

    A byte is written to ``loaded`` for each.
    """

    def __init__(self, loaded):
        self.loaded = loaded

    def __len__(self):
        return 99

    def __getitem__(self, index):
        os.write(self.loaded, b'.')
        return np.zeros(200_000, dtype=np.uint8)


def fork(function, *arguments):
    """Call a function in a child process. Return its process id and the first line it writes."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        function(writer, *arguments)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        return child, file.readline()


def wait_in_training(writer, has_prctl, loaded):
    """Start data workers, read one batch, and wait."""
    if not has_prctl:
        interrupts.ctypes = type('ctypes', (), {'CDLL': lambda name: object()})
    loader = DataLoader(
        LargeSamples(loaded),
        num_workers=NUM_WORKERS,
        collate_fn=list,
        worker_init_fn=partial(start_worker, None),
        multiprocessing_context='fork',
    )
    batches = iter(loader)
    next(batches)
    os.write(writer, f'{" ".join(str(each.pid) for each in active_children())}\n'.encode())
    signal.pause()


def get_state(process):
    """Return the state of a process, such as R (runs), S (waits) or Z (has ended), or ''."""
    status = Path(f'/proc/{process}/stat')
    return status.read_text().rpartition(')')[2].split()[0] if status.exists() else ''


def wait_for_states(processes, states):
    """Wait until each of these processes has one of these states."""
    end = time.monotonic() + SECONDS
    while not {*map(get_state, processes)} <= states and time.monotonic() < end:
        time.sleep(0.01)
    assert {*map(get_state, processes)} <= states


@pytest.mark.parametrize('has_prctl', [True, False])
def test_no_data_worker_outlives_a_killed_training(has_prctl):
    """The worker ends even if nobody reads its batch. Without prctl, it looks for its parent each second."""
    reader, loaded = os.pipe()
    training, line = fork(wait_in_training, has_prctl, loaded)
    os.close(loaded)
    workers = line.split()
    assert len(workers) == NUM_WORKERS
    with os.fdopen(reader, 'rb') as file:
        assert len(file.read(NUM_LOADED)) == NUM_LOADED
        assert {*map(get_state, workers)} <= {'R', 'S', 'D'}
        os.kill(training, signal.SIGKILL)
        os.waitpid(training, 0)
        wait_for_states(workers, {'', 'Z'})


def wait_in_start(writer):
    """Wait in a call of the C library that no signal ends."""
    with end_at_signals():
        os.write(writer, b'started\n')
        library = ctypes.CDLL(None)
        mutex = (ctypes.c_char * 64)()
        library.pthread_mutex_lock(mutex)
        library.pthread_mutex_lock(mutex)


@pytest.mark.parametrize('number', [signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_at_the_start_ends_a_rank_that_runs_no_python_code(number):
    rank, line = fork(wait_in_start)
    assert line == 'started\n'
    wait_for_states([rank], {'S'})
    os.kill(rank, number)
    _, status = os.waitpid(rank, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGTERM


def raise_error(*_):
    """Do as torch's handler does when a data worker has ended."""
    raise RuntimeError('DataLoader worker is killed')


@pytest.mark.parametrize('is_deferred', [True, False])
def test_after_a_signal_no_data_worker_that_ends_raises_an_error(is_deferred):
    """An interrupted training kills its data workers."""
    earlier = signal.signal(signal.SIGCHLD, raise_error)
    try:
        with handle_signals():
            INTERRUPTS.is_deferred = is_deferred
            with suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
            assert INTERRUPTS.received
            signal.raise_signal(signal.SIGCHLD)
        assert signal.getsignal(signal.SIGCHLD) is raise_error
    finally:
        signal.signal(signal.SIGCHLD, earlier)


def test_a_signal_that_was_noted_ends_the_program_when_it_stops_deferring():
    """Another rank may pass one on after both have agreed to go on."""
    with handle_signals():
        INTERRUPTS.is_deferred = True
        signal.raise_signal(signal.SIGUSR1)
        with pytest.raises(KeyboardInterrupt) as raised:
            INTERRUPTS.stop_deferring()
        assert raised.value.args == (signal.SIGTERM,)


SENT_AT_FORKS = []  # the signals that this process gets when it forks


def send_at_fork():
    for number in SENT_AT_FORKS:
        signal.raise_signal(number)


os.register_at_fork(after_in_parent=send_at_fork)


def test_a_signal_at_the_fork_of_a_data_worker_ends_a_validation(monkeypatch):
    """Python ignores the KeyboardInterrupt that is raised in such a callback."""
    monkeypatch.setattr('sys.unraisablehook', lambda raised: None)
    with handle_signals():
        SENT_AT_FORKS.append(signal.SIGTERM)
        child = os.fork()
        if child == 0:
            os._exit(0)
        SENT_AT_FORKS.clear()
        os.waitpid(child, 0)
        assert INTERRUPTS.received
        with pytest.raises(KeyboardInterrupt):
            SignalHook().before_val_iter(None, 0)


@pytest.mark.parametrize('handle', [handle_signals, end_at_signals])
def test_a_signal_that_is_ignored_stays_ignored(handle):
    """nohup lets a program ignore SIGHUP."""
    earlier = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handle():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            assert not INTERRUPTS.received
    finally:
        signal.signal(signal.SIGHUP, earlier)


@pytest.mark.parametrize('is_rank', [False, True])
def test_a_second_ctrl_c_ends_at_once_unless_a_launcher_may_have_sent_it(is_rank, monkeypatch):
    """A second SIGTERM changes nothing: schedulers send some."""
    monkeypatch.delenv('RANK', raising=False)
    if is_rank:
        monkeypatch.setenv('RANK', '1')
    with handle_signals():
        INTERRUPTS.is_deferred = True
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            signal.raise_signal(number)
        assert INTERRUPTS.received == signal.SIGINT
        with nullcontext() if is_rank else pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize('is_waiting', [False, True])
def test_after_a_signal_data_are_waited_for_less_than_a_scheduler_waits(is_waiting, monkeypatch):
    """The signal may come before the training waits. Schedulers kill it 30 s later."""
    alarms = []

    def alarm(seconds):
        alarms.append(seconds)
        if seconds:
            signal.raise_signal(signal.SIGALRM)

    monkeypatch.setattr(signal, 'alarm', alarm)

    def load():
        if is_waiting:
            signal.raise_signal(signal.SIGTERM)
        return 'data'

    with handle_signals():
        INTERRUPTS.is_deferred = True
        if not is_waiting:
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(DataTimeoutError):
            INTERRUPTS.wait_for(load)
    assert 0 < alarms[0] < 30


@pytest.mark.parametrize('is_signalled', [False, True])
def test_a_signal_while_a_config_is_written_ends_the_program(is_signalled):
    """mmengine makes a SyntaxError of any error there."""

    def write_config():
        with handle_signals():
            INTERRUPTS.is_deferred = True
            if is_signalled:
                signal.raise_signal(signal.SIGTERM)
            raise SyntaxError

    with pytest.raises(KeyboardInterrupt if is_signalled else SyntaxError):
        write_config()


@pytest.mark.parametrize(('rank', 'is_said'), [(None, True), ('0', True), ('1', False)])
def test_one_rank_says_that_a_checkpoint_comes_first(rank, is_said, monkeypatch, capfd):
    monkeypatch.delenv('RANK', raising=False)
    if rank:
        monkeypatch.setenv('RANK', rank)
    with handle_signals():
        INTERRUPTS.is_deferred = True
        signal.raise_signal(signal.SIGTERM)
    assert ('saving a checkpoint after this iteration' in capfd.readouterr().err) == is_said
