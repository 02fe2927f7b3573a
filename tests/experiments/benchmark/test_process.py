"""Steps in processes of their own."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
from benchmarking import OwnProcess


def appender(file):
    """A step that writes which process it is in."""
    return partial(append, file)


def append(file):
    with Path(file).open('a') as lines:
        lines.write(f'{os.getpid()}\n')


def failing():
    return fail


def fail():
    raise ValueError('no such size')


def ending():
    return partial(os.kill, os.getpid(), signal.SIGKILL)


def test_a_step_runs_as_often_as_it_is_called_in_one_other_process(tmp_path):
    with OwnProcess(partial(appender, tmp_path / 'calls')) as step:
        step()
        step()
    first, second = (tmp_path / 'calls').read_text().split()
    assert first == second != str(os.getpid())
    assert not step.process.is_alive()


def test_what_goes_wrong_there_is_told_here_each_time():
    with OwnProcess(failing) as step:
        for _ in range(2):
            with pytest.raises(RuntimeError, match='no such size'):
                step()


def test_a_process_that_ends_says_how():
    with OwnProcess(ending) as step, pytest.raises(RuntimeError, match=r'exit code -9; .* memory'):
        step()


def whose(file):
    """A step that notes where the module ``project`` was imported from."""
    import project

    return partial(Path(file).write_text, project.__file__)


def test_a_process_may_import_from_another_checkout(tmp_path):
    (tmp_path / 'project.py').touch()
    before = list(sys.path)
    with OwnProcess(partial(whose, tmp_path / 'found'), tmp_path) as step:
        step()
    assert (tmp_path / 'found').read_text() == str(tmp_path / 'project.py')
    assert sys.path == before
