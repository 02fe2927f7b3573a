"""The entry point of the console command, such as ``mmgcvit train CONFIG``."""

import ctypes
import errno
import os
import re
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import distributions
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from platform import platform, python_version
from types import ModuleType

from ..engine.interrupts import end_at_signals, get_exit_code, handle_signals
from ..errors import UserError, escape_controls, suggest
from ..ops.requirements import PIP_PACKAGES, format_missing
from ..version import __version__
from .habits import read_habits
from .options import list_usable_options, parse_args

# The help text of each command. The module of check-data is check_data.py, and so on.
COMMANDS = {
    'train': 'train a model',
    'test': 'test a model',
    'predict': 'predict on images and videos',
    'check-data': 'check the data of a config or a folder',
    'plot': 'plot losses and scores of runs',
    'suggest': 'rank pictures to label next',
    'mistakes': 'draw confusion matrix and worst images',
    'publish': "write a trained model's weights as safetensors",
    'export': 'write a trained model as an ONNX file',
    'convert': 'convert a checkpoint between formats',
}
# Installed distributions that --version lists.
DEPENDENCY = re.compile(
    r'torch|torchvision|(onedl-)?mm(engine|cv|det|seg|pretrain|pose|rotate)[\w-]*'
)
# Parameters of glibc's mallopt: M_MMAP_THRESHOLD, from which size blocks have pages of their own,
# and M_TRIM_THRESHOLD, how much freed memory is kept.
MALLOPT_PARAMETERS = (-3, -1)
# Warnings at import or when a model is built, about which users can do nothing.
NEEDLESS_WARNINGS = (
    'faster_coco_eval is not installed|Default ``avg_non_ignore`` is False|`reduce_zero_label` '
    'will be deprecated'
    "|'pin_memory' argument is set as true but no accelerator|<class .* instance named of "
    'visualizer'
    r'|mm[\w.]+ cannot be imported'  # a command that needs the package raises an error
)
# How threads of OpenMP wait: those of Intel and LLVM sleep at once, those of GNU spin for a moment
# first.
WAITING = {'OMP_WAIT_POLICY': 'PASSIVE', 'GOMP_SPINCOUNT': '1000'}


def main() -> None:
    """Run the command that the arguments of this process name."""
    open_streams()
    word = sys.argv[1] if len(sys.argv) > 1 else '--help'
    name = word.replace('_', '-')
    name = read_habits('mmgcvit').get(name.partition('=')[0], name)
    if name in COMMANDS:
        run_command(name, sys.argv[2:])
    elif name in ('-h', '--help'):
        print(format_usage())
    elif name == '--version':
        print(format_versions())
    else:
        advice = f'{suggest(name, COMMANDS)}\n{format_usage()}'
        if ' ' in name:  # a sentence of habits.ini
            advice = f'. {name}'
        raise SystemExit(f'mmgcvit has no command {word!r}{advice}')


class OutputFile(FileIO):
    """A file that discards what is written to a pipe that nobody reads any more (``| head``), or to
    a closed terminal, and after an error of a full disk, which it raises once.
    """

    has_failed = False

    def write(self, data: bytes) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.EIO) or self.has_failed:
                return len(data)
            self.has_failed = True
            raise


def open_streams() -> None:
    """Open stdout and stderr such that a command does its work although nobody reads them.

    The parent process may have closed them (``>&-``). Then files that are opened would get the
    numbers of these streams, and what is printed.
    """
    fill_closed_streams()
    for number, name in ((1, 'stdout'), (2, 'stderr')):
        stream = getattr(sys, name)
        if stream is getattr(sys, f'__{name}__'):  # Python's own, or None if it was closed
            # Then a library may have opened a file with its number, as libffi does at its import.
            is_closed = stream is None
            file = OutputFile(os.devnull if is_closed else number, 'w', closefd=is_closed)
            buffer = BufferedWriter(file)
            encoding = getattr(stream, 'encoding', None)
            # File names on Linux need not be UTF-8.
            text = TextIOWrapper(buffer, encoding, 'backslashreplace', line_buffering=True)
            setattr(sys, name, text)


def fill_closed_streams() -> None:
    """Open /dev/null under each of the numbers 0 to 2 that is closed: a file that is opened gets the
    lowest free number.
    """
    number = 0
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)


def format_versions() -> str:
    """Return the versions of this package, its dependencies and the system, for bug reports."""
    versions = {'mmgcvit': __version__, 'Python': python_version(), 'system': platform()}
    for item in distributions():
        if DEPENDENCY.fullmatch(item.name or ''):
            versions[item.name] = item.version
    return '\n'.join(f'{name:<24}{version}' for name, version in sorted(versions.items()))


def format_usage() -> str:
    lines = [f'    mmgcvit {name:<14}{description}\n' for name, description in COMMANDS.items()]
    return (
        f'Commands, each with --help:\n{"".join(lines)}--version lists the installed versions.\n'
        'Example: mmgcvit train --data photos. More: docs/index.md'
    )


def run_command(command: str | ModuleType, arguments: Sequence[object] | None = None) -> None:
    """Run one of :data:`COMMANDS`, or a script in tools, in this process; by default with this
    process's arguments.

    Raise a SystemExit with the exit code, or the message of an error that the user can fix.
    SIGTERM, SIGHUP and SIGUSR1 act as Ctrl-C, but end ranks of a launcher at once until they train:
    it sends SIGTERM after one of them has failed, and the others may wait where Python handles no
    signals.
    """
    open_streams()
    if arguments is not None:
        sys.argv = [f'mmgcvit {command}', *map(str, arguments)]
    keep_freed_memory()
    if not os.environ.keys() & {*WAITING, 'KMP_BLOCKTIME'}:
        # By default, waiting threads take the cores from other programs, and so from the threads
        # they wait for. OpenMP reads the variables when torch is imported.
        os.environ.update(WAITING)
    name = command if isinstance(command, str) else Path(command.__file__).stem
    args = Namespace()  # of an error before they are parsed
    try:
        if isinstance(command, str):
            command = import_module(f'.{name.replace("-", "_")}', __package__)
        args = parse_args(command, name)
        is_rank = getattr(args, 'launcher', 'none') != 'none'
        with hide_warnings(), end_at_signals() if is_rank else handle_signals():
            code = command.main(args)
    except KeyboardInterrupt as interrupt:
        print('interrupted')
        raise SystemExit(get_exit_code(interrupt)) from None
    except Exception as error:
        message = explain_error(error, args)
        if message is None:
            raise
        raise SystemExit(f'{name}: {message}') from error
    if code is not None:
        raise SystemExit(code)


def explain_error(error: Exception, args: Namespace) -> str | None:
    """Return the message of an error that the user can fix, or None for another one.

    If the command, which has got ``args``, has options for what the message advises, a sentence
    names them.
    """
    if isinstance(error, UserError):
        options = list_usable_options(error.arguments, args)
        if options:
            message = str(error).rstrip('.')
            end = '' if message.endswith('?') else '.'
            return f'{message}{end} Options for this: {", ".join(options)}'
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name in PIP_PACKAGES:
        return format_missing('this command', error.name)
    if isinstance(error, OSError):
        reason = error.strerror
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f'{reason}. Free some disk space, then start it again (train: with --resume)'
        if error.errno == errno.EFBIG:
            return (
                f'{reason}: a limit forbids files of this size. Raise it (ulimit -f), or write to '
                'another disk, then start it again (train: with --resume)'
            )
        if error.filename:
            return escape_controls(f'{error.filename}: {reason}')
    return None  # the traceback says more than the message


@contextmanager
def hide_warnings() -> Iterator[None]:
    """Hide needless warnings, unless the user has set others (-W, PYTHONWARNINGS)."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            for category in (DeprecationWarning, FutureWarning):
                warnings.simplefilter('ignore', category)
            # Pillow warns about unusual metadata and large images.
            warnings.filterwarnings('ignore', module='PIL')
            warnings.filterwarnings('ignore', message=NEEDLESS_WARNINGS)
        yield


def keep_freed_memory() -> None:
    """Let glibc keep freed memory, since the system clears new pages, which takes longer than
    filling a tensor.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    for parameter in MALLOPT_PARAMETERS:
        mallopt(parameter, (1 << 31) - 1)
