"""The console command runs the module of each command, and prints errors that a user can fix in one sentence."""

import errno
import os
import sys
from types import ModuleType
from unittest.mock import Mock

import pytest

from mmgcvit.commands.main import run_command
from mmgcvit.errors import UserError


@pytest.fixture
def command(monkeypatch):
    """Return a mock, the ``main`` function of an added command with an argument."""
    run = Mock(return_value=None)
    module = ModuleType('made', 'Made.')
    module.add_options, module.main = lambda parser: parser.add_argument('a', nargs='?'), run
    monkeypatch.setitem(sys.modules, 'mmgcvit.commands.made', module)
    return run


def test_command_gets_its_arguments_and_its_exit_code_is_returned(command):
    run_command('made', ['word'])
    assert command.call_args.args[0].a == 'word'
    command.return_value = 75
    with pytest.raises(SystemExit) as ended:
        run_command('made', [])
    assert ended.value.code == 75


def system_error(number, *file):
    return OSError(number, os.strerror(number), *file)


@pytest.mark.parametrize(
    ('error', 'sentence'),
    [
        (UserError('take another'), 'made: take another'),
        (UserError('a\x1b[2J.py'), r'made: a\x1b[2J.py'),
        (system_error(errno.EACCES, 'a\x1b[2J.py'), r'made: a\x1b[2J.py: Permission denied'),
        (
            system_error(errno.ENOSPC, 'x.pth'),
            'made: No space left on device. Free some disk space, then start it again (train: with --resume)',
        ),
    ],
)
def test_errors_that_a_user_can_fix_are_one_sentence(error, sentence, command):
    command.side_effect = error
    with pytest.raises(SystemExit) as ended:
        run_command('made', [])
    assert ended.value.code == sentence


@pytest.mark.parametrize('error', [KeyError('x'), system_error(errno.EINVAL)])
def test_unexpected_errors_keep_their_traceback(error, command):
    command.side_effect = error
    with pytest.raises(type(error)):
        run_command('made', [])
