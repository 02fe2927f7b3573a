"""A command of several steps ends with what a step says, and ends its steps with it."""

import signal
import sys
import time

import pytest

from mmgcvit.commands import steps


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Has a shell script run in the place of Python; gives what it was called with."""

    def write(script):
        path = tmp_path / 'python'
        path.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n{script}\n')
        path.chmod(0o755)
        monkeypatch.setattr(sys, 'executable', str(path))
        return tmp_path / 'arguments'

    return write


def test_a_step_is_a_command_of_this_package(program):
    arguments = program('exit 0')
    assert 0 < steps.run('train', 'config.py', '--seed', 3) < 60
    assert arguments.read_text() == '-m mmgcvit.commands.train config.py --seed 3\n'


def test_the_exit_code_of_a_step_that_failed_is_passed_on(program):
    program('exit 75')
    with pytest.raises(SystemExit) as end:
        steps.run('train')
    assert end.value.code == 75


@pytest.mark.parametrize(
    ('name', 'words'), [('KILL', 'SIGKILL, as the system does when memory runs out'), ('TERM', 'SIGTERM')]
)
def test_a_step_that_a_signal_ended_is_named_with_the_end_of_its_log(name, words, program, tmp_path):
    program(f'kill -{name} $$')
    with pytest.raises(SystemExit) as end:
        steps.run('train', '--work-dir', tmp_path)
    assert end.value.code == f'train was ended by {words}'
    (tmp_path / 'console_20260101_000000.log').write_text('the last word\n')
    with pytest.raises(SystemExit) as end:
        steps.run('train', '--work-dir', tmp_path)
    assert end.value.code.startswith(f'train was ended by {words}; the last lines of its log:\n  | the last word\n')


@pytest.mark.parametrize('script', ['exec sleep 60', 'trap "" TERM; while :; do sleep 0.1; done'], ids=['', 'deaf'])
def test_a_step_ends_with_an_interrupted_command(script, program, monkeypatch):
    """Also one that does not listen."""
    program(script)
    children = []

    class Interrupted(steps.subprocess.Popen):
        def wait(self, timeout=None):
            if self not in children:
                children.append(self)
                raise KeyboardInterrupt
            return super().wait(timeout)

    monkeypatch.setattr(steps.subprocess, 'Popen', Interrupted)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        steps.run('train', seconds_to_end=0.2)
    assert time.monotonic() - began < 30
    assert children[0].returncode in (-signal.SIGTERM, -signal.SIGKILL)


def test_sigterm_ends_the_command_as_an_exception_does():
    before = signal.getsignal(signal.SIGTERM)
    try:
        steps.end_steps_when_terminated()
        with pytest.raises(SystemExit) as end:
            signal.raise_signal(signal.SIGTERM)
        assert end.value.code == 143
    finally:
        signal.signal(signal.SIGTERM, before)
