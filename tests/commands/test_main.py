"""The console command runs the module of each command, and prints errors that a user can fix in one sentence."""

import errno
import os
import sys
from importlib import import_module
from types import SimpleNamespace

import pytest

from mmgcvit.commands.main import COMMANDS, run_command
from mmgcvit.errors import UserError

from ..conftest import ROOT


def test_every_file_with_options_is_a_command():
    files = {
        path.stem for path in (ROOT / 'mmgcvit' / 'commands').glob('*.py') if 'def add_options' in path.read_text()
    }
    assert {name.replace('-', '_') for name in COMMANDS} == files
    assert all(callable(import_module(f'mmgcvit.commands.{name}').main) for name in files)


@pytest.fixture
def command(monkeypatch):
    """Return a function that adds a command with a result or an error; it returns the list of its calls."""

    def make(result):
        called = []

        def run(args):
            called.append(sys.argv)
            if isinstance(result, BaseException):
                raise result
            return result

        def add_options(parser):
            parser.add_argument('a', nargs='?')
            parser.add_argument('--b', action='store_true')

        module = SimpleNamespace(__doc__='Made.', add_options=add_options, main=run)
        monkeypatch.setitem(COMMANDS, 'made', '')
        monkeypatch.setitem(sys.modules, 'mmgcvit.commands.made', module)
        return called

    return make


def test_command_gets_its_arguments_and_its_exit_code_is_returned(command):
    called = command(None)
    run_command('made', ['a', '--b'])
    assert called == [['mmgcvit made', 'a', '--b']]
    for code in (0, 1, 75):
        command(code)
        with pytest.raises(SystemExit) as ended:
            run_command('made', [])
        assert ended.value.code == code


FREE_SPACE = 'Free some disk space, then start it again (train: with --resume)'


def system_error(number, *file):
    return OSError(number, os.strerror(number), *file)


@pytest.mark.parametrize(
    ('error', 'sentence'),
    [
        (UserError('take another'), 'made: take another'),
        (UserError('a\x1b[2J.py'), r'made: a\x1b[2J.py'),
        (system_error(errno.EACCES, 'a\x1b[2J.py'), r'made: a\x1b[2J.py: Permission denied'),
        (system_error(errno.ENOSPC), f'made: No space left on device. {FREE_SPACE}'),
        (system_error(errno.EDQUOT, 'x.pth'), f'made: Disk quota exceeded. {FREE_SPACE}'),
    ],
)
def test_errors_that_a_user_can_fix_are_one_sentence(error, sentence, command):
    command(error)
    with pytest.raises(SystemExit) as ended:
        run_command('made', [])
    assert ended.value.code == sentence


@pytest.mark.parametrize('error', [KeyError('x'), system_error(errno.EINVAL)])
def test_unexpected_errors_keep_their_traceback(error, command):
    command(error)
    with pytest.raises(type(error)):
        run_command('made', [])
