"""Nodes that run beside each other hear of each other's end, failure and silence."""

import subprocess
import sys
import time
from datetime import timedelta

import pytest
import torch.distributed as dist

from mmgcvit.commands import nodes as watched
from mmgcvit.commands.nodes import DONE, FAILED, Nodes, Pulse

from ..programs import running, started

SILENCE = 1.0


@pytest.fixture
def store():
    """What torch's launcher keeps on node 0."""
    return dist.TCPStore('127.0.0.1', 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=10))


@pytest.fixture
def pulses(store, monkeypatch):
    """Three nodes that beat."""
    monkeypatch.setattr(watched, 'SECONDS_BETWEEN_BEATS', 0.05)
    pulses = [Pulse(Nodes(3, rank, '127.0.0.1', store.port, SILENCE)) for rank in range(3)]
    for pulse in pulses:
        pulse.start()
    wait_for(lambda: all(len(pulse.heard) == 2 for pulse in pulses))
    yield pulses
    for pulse in pulses:
        pulse.stop(DONE)


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_nodes_that_beat_are_no_trouble(pulses):
    time.sleep(2 * SILENCE)
    assert [pulse.trouble() for pulse in pulses] == [None] * 3


def test_a_failure_is_heard_by_all_others(pulses):
    pulses[1].stop(FAILED)
    wait_for(lambda: pulses[0].trouble() and pulses[2].trouble())
    assert pulses[0].trouble() == pulses[2].trouble() == 'node 1 has failed, its output says why'


def test_a_node_that_has_ended_well_is_not_missed(pulses):
    pulses[2].stop(DONE)
    time.sleep(2 * SILENCE)
    assert pulses[0].trouble() is None


def test_a_node_that_falls_silent_is_missed(store, pulses):
    pulses[1].step = 0
    wait_for(lambda: pulses[0].trouble() and pulses[2].trouble())
    assert pulses[0].trouble().startswith('node 1 has not been heard of for')
    assert pulses[1].trouble() is None


def test_a_lost_connection_is_made_anew_and_the_node_not_missed(pulses, monkeypatch):
    """The network was away for less than the silence that counts as death."""
    lost = []

    def listen(store):
        if not lost:
            lost.append(store)
            raise RuntimeError('the connection was reset')
        Pulse.listen(pulses[1], store)

    monkeypatch.setattr(pulses[1], 'listen', listen)
    wait_for(lambda: lost)
    time.sleep(2 * SILENCE)
    assert [pulse.trouble() for pulse in pulses] == [None] * 3


@pytest.fixture
def sleeping(store):
    """Node 1 of 2, a process of its own that runs something endless."""
    code = (
        'import os\n'
        'from mmgcvit.commands.nodes import Nodes, run_beside_other_nodes\n'
        f"run_beside_other_nodes(['sleep', '100'], dict(os.environ), Nodes(2, 1, '127.0.0.1', {store.port}))\n"
    )
    with started([sys.executable, '-c', code], stderr=subprocess.PIPE, text=True) as process:
        prefixed = dist.PrefixStore('mmgcvit/nodes', store)
        wait_for(lambda: prefixed.add('1', 0) > 0, seconds=60)
        yield process, prefixed


@pytest.mark.slow
def test_what_a_node_runs_is_ended_when_another_has_failed(sleeping):
    process, store = sleeping
    store.add('0', FAILED)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert not list(running(process)), 'what the node ran has ended too'
    assert 'node 0 has failed, its output says why: ending the processes of node 1' in errors


@pytest.mark.slow
def test_what_a_node_runs_is_ended_when_its_launcher_is_killed(sleeping):
    process, _ = sleeping
    process.kill()
    # The pipe is open as long as what the launcher ran is alive.
    process.communicate(timeout=10)
