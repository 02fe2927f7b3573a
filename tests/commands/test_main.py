"""The console command runs the module of each command, and prints errors that a user can fix in one sentence."""

import errno
import os
import signal
import subprocess
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


@pytest.mark.parametrize('user', ['', 'GOMP_SPINCOUNT=7', 'OMP_WAIT_POLICY=ACTIVE', 'KMP_BLOCKTIME=1'])
def test_waiting_threads_sleep_unless_the_user_chose(user):
    """torch reads the variables when it is imported: after they are set."""
    code = 'import os, sys; from mmgcvit.commands.main import main; before = "torch" in sys.modules\n'
    code += 'try: main()\nexcept SystemExit: print(before, *map(os.environ.get, ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")))'
    names = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'KMP_BLOCKTIME')
    env = {name: value for name, value in os.environ.items() if name not in names}
    env |= dict([user.split('=')]) if user else {}
    command = [sys.executable, '-c', code, 'plot', '--help']
    shown = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout.split()[-3:]
    ours = ('PASSIVE', '1000') if not user else (env.get('OMP_WAIT_POLICY'), env.get('GOMP_SPINCOUNT'))
    assert shown == ['False', *map(str, ours)]


@pytest.mark.parametrize('launched', [False, True])
def test_sigterm_ends_child_processes_and_those_of_torchrun_at_once(launched, command, monkeypatch):
    def run_child(args):
        if (child := os.fork()) == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        assert os.waitpid(child, 0)[1] != 0
        return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    command.side_effect = run_child
    monkeypatch.setenv('RANK', '0') if launched else monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(SystemExit) as ended:
        run_command('made', [])
    assert ended.value.code == launched


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
