"""A command of several steps ends with what a step says, and ends its steps with it; so the demo."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mmgcvit.commands import steps
from mmgcvit.errors import UserError
from mmgcvit.hosts.configs import configs_with

from ..conftest import ROOT
from ..programs import run, running, started, wait_for

CONFIG = 'demo/gcvit_digits_cls.py'
IN_CHECKOUT = os.environ | {'PYTHONPATH': str(ROOT)}


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


def ended_by(*arguments):
    with pytest.raises(SystemExit) as end:
        steps.run(*arguments)
    return end.value.code


def test_a_step_is_a_command_of_this_package_whose_exit_code_is_passed_on(program):
    arguments = program('exit 0')
    assert 0 < steps.run('train', 'config.py', '--seed', 3) < 60
    assert arguments.read_text() == '-m mmgcvit train config.py --seed 3\n'
    program('exit 75')
    assert ended_by('train') == 75


@pytest.mark.parametrize(
    ('name', 'words'), [('KILL', 'SIGKILL, as the system does when memory runs out'), ('TERM', 'SIGTERM')]
)
def test_a_step_that_a_signal_ended_is_named_with_the_end_of_its_log(name, words, program, tmp_path):
    program(f'kill -{name} $$')
    assert ended_by('train', '--work-dir', tmp_path) == f'train was ended by {words}'
    (tmp_path / 'console_20260101_000000.log').write_text('the last word\n')
    said = ended_by('train', '--work-dir', tmp_path)
    assert said.startswith(f'train was ended by {words}; the last lines of its log:\n  | the last word\n')


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


def test_configs_are_found_in_a_checkout_and_in_an_installed_wheel(monkeypatch, tmp_path):
    checkout, wheel = tmp_path / 'configs', tmp_path / 'mmgcvit' / '.mim' / 'configs'
    monkeypatch.setattr('mmgcvit.hosts.configs.PLACES', (checkout, wheel))
    with pytest.raises(UserError, match='install the package again'):
        configs_with(CONFIG)
    for place in (wheel, checkout):
        (place / 'demo').mkdir(parents=True)
        (place / CONFIG).touch()
        assert configs_with(CONFIG) == place


def steps_of(demo):
    """The demo's steps that run; what its imports start is none."""
    for number in running(demo):
        with suppress(OSError):
            if b'mmgcvit\0digits' in Path(f'/proc/{number}/cmdline').read_bytes():
                yield number


@pytest.mark.slow
@pytest.mark.parametrize(
    ('number', 'code'),
    [
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.long),
        (signal.SIGKILL, -9),
    ],
)
def test_ending_the_demo_ends_its_step(number, code, tmp_path):
    """As Ctrl-C does, which the terminal sends to both, and whoever ends the demo alone."""
    command = [sys.executable, '-m', 'mmgcvit', 'demo', '--work-dir', tmp_path / 'work']
    # Shells have what they run in the background ignore SIGINT.
    listening = {'preexec_fn': lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with started(command, IN_CHECKOUT, cwd=tmp_path, stdout=subprocess.DEVNULL, **listening) as demo:
        wait_for(lambda: any(steps_of(demo)))
        demo.send_signal(number)
        assert demo.wait(30) == code
        wait_for(lambda: not any(steps_of(demo)), seconds=10)


@pytest.mark.slow
def test_a_step_that_fails_ends_the_demo_with_its_reason(tmp_path):
    (tmp_path / 'data' / 'digits').mkdir(parents=True)
    (tmp_path / 'data' / 'digits' / 'of someone else').touch()
    demo = run([sys.executable, '-m', 'mmgcvit', 'demo'], IN_CHECKOUT, cwd=tmp_path)
    assert demo.returncode == 1
    assert 'digits: data/digits exists and was not made by this tool' in demo.stderr
    assert '2 of 2' not in demo.stdout
