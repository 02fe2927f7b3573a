"""Commands in processes of their own: exit codes are passed on, and a step ends with the command that waits for it."""

import signal
import sys
import time

import pytest

from mmgcvit.commands import steps

from ..programs import running, started, wait_for


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


def test_a_step_is_a_command_of_this_package_also_in_several_processes(program):
    arguments = program('exit 0')
    assert 0 < steps.run('train', 'config.py', '--seed', 3) < 60
    assert arguments.read_text() == '-m mmgcvit train config.py --seed 3\n'
    steps.run('train', 'config.py', processes=2)
    launched = (
        '-m torch.distributed.run --standalone --nproc-per-node=2 -m mmgcvit train config.py --launcher pytorch\n'
    )
    assert arguments.read_text() == launched


@pytest.mark.parametrize(('script', 'code'), [('exit 75', 75), ('kill -KILL $$', 'train was ended by SIGKILL')])
def test_how_a_step_failed_is_passed_on(script, code, program):
    program(script)
    with pytest.raises(SystemExit) as end:
        steps.run('train')
    assert end.value.code == code


def test_a_step_ends_with_a_command_that_is_terminated(tmp_path):
    program = tmp_path / 'program.py'
    program.write_text(
        'import sys\nfrom mmgcvit.commands import steps\nsteps.end_steps_when_terminated()\n'
        f"sys.executable = {str(tmp_path / 'python')!r}\nsteps.run('train')\n"
    )
    step = tmp_path / 'python'
    step.write_text(f'#!/bin/sh\ntouch {tmp_path}/begun\nexec sleep 60\n')
    step.chmod(0o755)
    with started([sys.executable, program]) as process:
        wait_for((tmp_path / 'begun').exists)
        process.terminate()
        began = time.monotonic()
        assert process.wait(30) == 128 + signal.SIGTERM
        wait_for(lambda: not list(running(process)))
        assert time.monotonic() - began < 30
