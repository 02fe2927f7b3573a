"""The console command runs a command's module, prints errors that a user can fix in one sentence,
and hides noise.
"""

import errno
import os
import signal
import sys
import warnings
from types import ModuleType
from unittest.mock import Mock

import pytest

from mmgcvit.commands.main import WAITING, hide_warnings, run_command
from mmgcvit.errors import UserError

from .. import programs


@pytest.fixture
def command(monkeypatch):
    """Return a mock, the ``main`` function of an added command with an argument."""
    run = Mock(return_value=None)
    module = ModuleType('made', 'Made.')
    module.add_options, module.main = lambda parser: parser.add_argument('a', nargs='?'), run
    monkeypatch.setitem(sys.modules, 'mmgcvit.commands.made', module)
    return run


def run_made(word='word'):
    """Run the command. Return what it ends with."""
    with pytest.raises(SystemExit) as ended:
        run_command('made', [word])
    return ended.value.code


def test_command_gets_its_arguments_and_its_exit_code_is_returned(command):
    run_command('made', ['word'])
    assert command.call_args.args[0].a == 'word'
    command.return_value = 75
    assert run_made() == 75


@pytest.mark.parametrize(
    ('variable', 'value', 'shown'),
    [
        ('UNRELATED', '1', ['PASSIVE', '1000']),
        ('GOMP_SPINCOUNT', '7', ['None', '7']),
        ('OMP_WAIT_POLICY', 'ACTIVE', ['ACTIVE', 'None']),
        ('KMP_BLOCKTIME', '1', ['None', 'None']),
    ],
)
def test_waiting_threads_sleep_unless_the_user_chose(variable, value, shown, monkeypatch):
    """torch reads the variables when it is imported: after they are set."""
    for name in (*WAITING, 'KMP_BLOCKTIME'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    code = """
import os, sys
from mmgcvit.commands.main import main
try:
    main()
except SystemExit:
    names = 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT'
    print('torch' in sys.modules, *map(os.environ.get, names))
"""
    ended = programs.run([sys.executable, '-c', code, 'plot', '--help'])
    assert ended.stdout.split()[-3:] == ['False', *shown]


@pytest.mark.parametrize('launcher', ['none', 'pytorch', 'slurm', 'mpi'])
def test_sigterm_ends_child_processes_and_ranks_of_a_launcher_at_once(
    launcher, command, monkeypatch
):
    """slurm and MPI set no RANK."""

    def run_child(args):
        if (child := os.fork()) == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        assert os.waitpid(child, 0)[1] != 0
        return signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    command.side_effect = run_child
    made = sys.modules['mmgcvit.commands.made']
    monkeypatch.setattr(made, 'add_options', lambda parser: parser.add_argument('launcher'))
    assert run_made(launcher) == (launcher != 'none')


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_every_signal_ends_a_command_as_ctrl_c_does(number, command):
    """So it writes what it has finished."""
    command.side_effect = lambda args: signal.raise_signal(number)
    assert run_made() == 128 + (number if number == signal.SIGINT else signal.SIGTERM)


@pytest.mark.parametrize('closed', ['>&-', '2>&-', '<&- >&- 2>&-'])
def test_a_command_whose_streams_are_closed_does_its_work(closed, tmp_path):
    """A file that it opens does not become one of the streams."""
    code = """
import os, sys
from mmgcvit.commands.main import main
sys.argv = ['mmgcvit', '--version']
main()
file = open('out', 'w')
assert not sys.stdout.isatty()
print('printed', flush=True)
os.write(2, b'error')
file.write('written')
"""
    run = ['sh', '-c', f'"$0" -c "$1" {closed}', sys.executable, code]
    assert programs.run(run, cwd=tmp_path).returncode == 0
    assert (tmp_path / 'out').read_text() == 'written'


ODD_NAME = 'a\x1b[2J.py'


@pytest.mark.parametrize(
    ('error', 'sentence'),
    [
        (UserError('take another'), 'take another'),
        (UserError(ODD_NAME), r'a\x1b[2J.py'),
        (OSError(errno.EACCES, 'Permission denied', ODD_NAME), r'a\x1b[2J.py: Permission denied'),
        (
            OSError(errno.ENOSPC, 'No space left', 'x.pth'),
            'No space left. Free some disk space, then start it again (train: with --resume)',
        ),
    ],
)
def test_errors_that_a_user_can_fix_are_one_sentence(error, sentence, command):
    command.side_effect = error
    assert run_made() == f'made: {sentence}'


@pytest.mark.parametrize('error', [KeyError('x'), OSError(errno.EINVAL, 'no')])
def test_unexpected_errors_keep_their_traceback(error, command):
    command.side_effect = error
    with pytest.raises(type(error)):
        run_command('made', [])


def test_needless_warnings_are_hidden(monkeypatch):
    monkeypatch.setattr(sys, 'warnoptions', [])
    with warnings.catch_warnings(record=True) as warned, hide_warnings():
        warnings.warn('old', DeprecationWarning, stacklevel=1)
        warnings.warn('wrong', UserWarning, stacklevel=1)
        warnings.warn('Default ``avg_non_ignore`` is False, if you', UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in warned] == ['wrong']
