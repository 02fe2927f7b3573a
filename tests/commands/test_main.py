"""The console command runs a command's module, prints errors that a user can fix in one sentence,
and hides noise.
"""

import errno
import os
import signal
import subprocess
import sys
import warnings
from argparse import Namespace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import Mock

import pytest

from mmgcvit.commands import main
from mmgcvit.commands.main import (
    MALLOPT_PARAMETERS,
    WAITING,
    OutputFile,
    explain_error,
    hide_warnings,
    run_command,
)
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


def run_made(word='word', command='made'):
    """Run the command. Return what it ends with."""
    with pytest.raises(SystemExit) as ended:
        run_command(command, [word])
    return ended.value.code


@pytest.mark.parametrize(
    ('variable', 'value', 'shown'),
    [
        ('UNRELATED', '1', ['PASSIVE', '1000']),
        ('OMP_WAIT_POLICY', 'ACTIVE', ['ACTIVE', None]),
        ('GOMP_SPINCOUNT', '7', [None, '7']),
        ('KMP_BLOCKTIME', '1', [None, None]),
    ],
)
def test_waiting_threads_sleep_unless_the_user_chose(variable, value, shown, command, monkeypatch):
    for name in (*WAITING, 'KMP_BLOCKTIME'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    run_command('made', [])
    assert [os.environ.get(name) for name in WAITING] == shown


@pytest.mark.parametrize('launcher', ['none', 'pytorch', 'slurm', 'mpi'])
def test_sigterm_ends_child_processes_and_ranks_of_a_launcher_at_once(
    launcher, command, monkeypatch
):
    """slurm sets no RANK."""

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


# Print, write a file, and get Ctrl-C while a training lets it wait for the end of an iteration.
PROGRAM = """
import signal, sys
from mmgcvit.commands.main import main
from mmgcvit.engine.interrupts import INTERRUPTS, handle_signals
sys.argv = ['mmgcvit', '--version']
main()
file = open('out', 'w')
assert not sys.stdout.isatty()
print('printed', flush=True)
print('error', file=sys.stderr)
with handle_signals():
    INTERRUPTS.is_deferred = True
    signal.raise_signal(signal.SIGINT)
file.write('written')
"""


@pytest.mark.parametrize(
    'streams', ['>&-', '2>&-', '<&- >&- 2>&-', '| true', '2>&1 | true', '2>&1 >&- | true']
)
def test_a_command_whose_output_nobody_reads_does_its_work(streams, tmp_path):
    """A file that it opens does not become one of the streams. Ctrl-C, which also ends tee, lets a
    training save a checkpoint.
    """
    shell = ['sh', '-c', f'"$0" -c "$1" {streams}', sys.executable, PROGRAM]
    ended = programs.run(shell, cwd=tmp_path)
    assert (ended.returncode, 'Traceback' in ended.stderr) == (0, False)
    assert (tmp_path / 'out').read_text() == 'written'


def test_a_command_whose_terminal_is_closed_does_its_work(tmp_path):
    terminal, stream = os.openpty()
    command = [sys.executable, '-c', PROGRAM]
    with subprocess.Popen(command, cwd=tmp_path, stdout=stream, stderr=stream) as process:
        os.close(terminal)
        os.close(stream)
    assert process.returncode == 0
    assert (tmp_path / 'out').read_text() == 'written'


@pytest.mark.parametrize(
    ('error', 'sentence'),
    [
        (UserError('take another'), 'take another'),
        (
            ModuleNotFoundError(name='pycocotools'),
            'this command needs pycocotools, which is not installed. Run: pip install pycocotools',
        ),
        (OSError(errno.EACCES, 'no', 'a\x1b[2J.py'), r'a\x1b[2J.py: no'),
        (
            OSError(errno.ENOSPC, 'No space left', 'x.pth'),
            'No space left. Free some disk space, then start it again (train: with --resume)',
        ),
        (
            OSError(errno.EDQUOT, 'Disk quota exceeded'),
            'Disk quota exceeded. Free some disk space, then start it again (train: with --resume)',
        ),
        (
            OSError(errno.EFBIG, 'File too large'),
            'File too large: a limit forbids files of this size. Raise it (ulimit -f), or write to '
            'another disk, then start it again (train: with --resume)',
        ),
    ],
)
def test_errors_that_a_user_can_fix_are_one_sentence(error, sentence, command):
    command.side_effect = error
    script = sys.modules['mmgcvit.commands.made']
    script.__file__ = 'script.py'
    assert run_made() == f'made: {sentence}'
    assert run_made(command=script) == f'script: {sentence}'


@pytest.mark.parametrize(
    ('arguments', 'options', 'sentence'),
    [
        (['resume', 'work_dir'], {'resume': None, 'work_dir': 'a'}, ': --resume, --work-dir'),
        (['work_dir'], {'resume': None}, None),
        (['workers', 'resume'], {'resume': None, 'workers': None, 'data': None}, ': --resume'),
        (['workers'], {'workers': None, 'data': ['photos']}, ': --workers'),
    ],
)
def test_the_options_for_what_an_error_advises_are_named_if_the_command_has_them(
    arguments, options, sentence
):
    """Options for own data need --data."""
    error = UserError('take another.', arguments=arguments)
    expected = f'take another. Options for this{sentence}' if sentence else 'take another.'
    assert explain_error(error, Namespace(**options)) == expected


@pytest.mark.parametrize('error', [KeyError('x'), OSError(errno.EINVAL, 'no')])
def test_unexpected_errors_keep_their_traceback(error, command):
    command.side_effect = error
    with pytest.raises(type(error)):
        run_command('made', [])


@pytest.mark.parametrize('options', [[], ['default']])
def test_needless_warnings_are_hidden_unless_the_user_asks_for_some(options, monkeypatch):
    monkeypatch.setattr(sys, 'warnoptions', options)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter('always')
        with hide_warnings():
            warnings.warn('old', FutureWarning, stacklevel=1)
            warnings.warn('old', DeprecationWarning, stacklevel=1)
            warnings.warn('wrong', stacklevel=1)
            warnings.warn('Default ``avg_non_ignore`` is False, if you', stacklevel=1)
    messages = [str(warning.message) for warning in warned]
    assert messages == ['wrong'] if not options else len(messages) == 4


def test_a_command_keeps_the_memory_that_it_frees(command, monkeypatch):
    settings = {}
    library = SimpleNamespace(mallopt=settings.__setitem__)
    monkeypatch.setattr(main, 'ctypes', SimpleNamespace(CDLL=lambda name: library))
    run_command('made', [])
    assert settings == dict.fromkeys(MALLOPT_PARAMETERS, 2**31 - 1)


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='only Linux has /dev/full')
def test_a_full_disk_is_reported_once_and_further_output_is_discarded():
    """Else the message about it would fail too."""
    with OutputFile('/dev/full', 'w') as file:
        with pytest.raises(OSError, match='No space left'):
            file.write(b'a')
        assert file.write(b'message') == 7
