"""A signal is passed on to the other ranks of the machine and the container, and to no others."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from torch.utils.data import DataLoader

from mmgcvit.engine.hooks import signals
from mmgcvit.engine.hooks.signals import SignalHook, list_local_ranks
from mmgcvit.engine.interrupts import INTERRUPTS


@pytest.mark.skipif(not Path('/proc/self/ns/pid').exists(), reason='only Linux has namespaces')
def test_ranks_of_other_machines_and_containers_get_no_signal(monkeypatch):
    """Their process ids are those of other programs here."""

    def gather(own):
        (host, namespace), pid = own
        return [own, ((host, namespace), pid + 1), (('far', namespace), 2), ((host, Path('x')), 3)]

    monkeypatch.setattr(signals, 'all_gather_object', gather)
    assert list_local_ranks() == [os.getpid() + 1]


def test_data_workers_call_the_function_of_the_config_too(monkeypatch):
    monkeypatch.setattr('mmgcvit.engine.interrupts.signal.pthread_sigmask', lambda *_: None)
    monkeypatch.setattr('mmgcvit.engine.interrupts.threading.Thread.start', lambda *_: None)
    monkeypatch.setattr('mmgcvit.engine.interrupts.end_when_parent_is_killed', lambda: None)
    started = []
    loop = SimpleNamespace(dataloader=DataLoader([0], worker_init_fn=started.append))
    SignalHook().before_train(SimpleNamespace(train_loop=loop, val_loop=None))
    loop.dataloader.worker_init_fn(3)
    assert started == [3]


@pytest.mark.parametrize('is_distributed', [False, True])
def test_a_training_of_several_ranks_knows_those_that_get_its_signals(is_distributed, monkeypatch):
    monkeypatch.setattr(signals, 'is_distributed', lambda: is_distributed)
    monkeypatch.setattr(signals, 'list_local_ranks', lambda: [7])
    monkeypatch.setattr(INTERRUPTS, 'peers', [])
    SignalHook().before_train(SimpleNamespace(train_loop=None, val_loop=None))
    assert INTERRUPTS.peers == ([7] if is_distributed else [])
