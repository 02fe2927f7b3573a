"""The entry point of the console command: ``mmgcvit train CONFIG``, ``mmgcvit test WORK_DIR``, ..."""

import ctypes
import errno
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from io import TextIOWrapper
from pathlib import Path
from platform import platform, python_version
from types import ModuleType

from ..errors import PIP_PACKAGES, UserError, escape_controls, format_missing, suggest
from ..version import __version__
from .options import parse_args
from .screen import SIGINT_EXIT_CODE, hide_noise

# The help text of each command. The module of check-data is check_data.py, and so on.
COMMANDS = {
    'train': 'train a model',
    'test': 'test a model',
    'predict': 'predict on images and videos',
    'check-data': 'check the data of a config or a folder',
    'plot': 'plot losses and scores of runs',
    'mistakes': 'draw confusion matrix and worst images',
    'visualize': 'draw attention, global queries, Grad-CAM or shifts',
    'publish': "write a trained model's weights as safetensors",
    'export': 'write a trained model as an ONNX file',
    'convert': 'convert a checkpoint between formats',
}
# Parameters of glibc's mallopt: from which size blocks have pages of their own, and how much freed memory is kept.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
MAX_INT = (1 << 31) - 1
# Packages that --version lists.
DEPENDENCIES = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain')


def format_usage() -> str:
    lines = '\n'.join(f'    mmgcvit {name:<14}{description}' for name, description in COMMANDS.items())
    return f'Commands, each with --help:\n{lines}\n--version lists the installed versions.'


def format_versions() -> str:
    """Return the versions of this package and its dependencies, for bug reports."""
    distributions, rows = packages_distributions(), []
    for name in DEPENDENCIES:
        # In Python 3.10, packages_distributions() lacks packages without a top_level.txt, such as onedl-mmengine.
        distribution = distributions.get(name, [f'onedl-{name}'])[0]
        try:
            rows.append((name, version(distribution)))
        except PackageNotFoundError:
            rows.append((name, 'none'))
    rows = [('mmgcvit', __version__), *rows, ('Python', python_version()), ('system', platform())]
    return '\n'.join(f'{name:<12}{value}' for name, value in rows)


def main() -> None:
    """Run the command that the arguments of this process name."""
    if isinstance(sys.stdout, TextIOWrapper):
        # File names on Linux need not be UTF-8. Python sets this for stderr only.
        sys.stdout.reconfigure(errors='backslashreplace')
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    if name in ('-h', '--help'):
        print(format_usage())
    elif name == '--version':
        print(format_versions())
    elif name not in COMMANDS:
        raise SystemExit(f'mmgcvit has no command {name!r}{suggest(name, COMMANDS)}\n{format_usage()}')
    else:
        run_command(name, sys.argv[2:])


def run_command(command: str | ModuleType, arguments: Sequence[object] | None = None) -> None:
    """Run one of :data:`COMMANDS`, or a script in tools, in this process; by default with this process's arguments.

    Raises:
        SystemExit: The command returned an exit code, or raised an error that the user can fix. Its ``code`` is the
            exit code or the error message.
    """
    if arguments is not None:
        sys.argv = [f'mmgcvit {command}', *map(str, arguments)]
    keep_freed_memory()
    name = command if isinstance(command, str) else Path(command.__file__).stem
    try:
        if isinstance(command, str):
            command = import_module(f'.{name.replace("-", "_")}', __package__)
        args = parse_args(command)
        with hide_noise():
            code = command.main(args)
    except KeyboardInterrupt:
        print('interrupted')
        code = SIGINT_EXIT_CODE
    except UserError as error:
        code = f'{name}: {error}'
    except ModuleNotFoundError as error:
        if error.name not in PIP_PACKAGES:
            raise
        code = f'{name}: {format_missing("this command", error.name)}'
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            code = f'{name}: {error.strerror}. Free some disk space, then start it again (train: with --resume)'
        elif error.filename is None:  # the traceback says more than the message
            raise
        else:
            code = f'{name}: {escape_controls(f"{error.filename}: {error.strerror}")}'
    if code is not None:
        raise SystemExit(code)


def keep_freed_memory() -> None:
    """Let the process keep the memory of freed tensors for later ones, where the C library is glibc.

    By default, glibc returns the memory of large tensors to the system, which clears each page when it is used again.
    Allocating a large tensor then takes longer than filling it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    for parameter in (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD):
        mallopt(parameter, MAX_INT)
