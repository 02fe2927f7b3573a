"""The console command: ``mmgcvit train CONFIG``, ``mmgcvit test WORK_DIR``, ..."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import distributions
from platform import platform, python_version

from ..errors import BROUGHT_BY, UserError, is_full_disk, needs, printable, suggest
from ..version import __version__
from .options import parse
from .screen import INTERRUPTED, without_noise

# What one types, the module of this folder that does it, and what it is for.
COMMANDS = {
    'demo': ('demo', 'see it work: train and score a small detector or segmentor, in minutes'),
    'train': ('train', 'train a model of any task'),
    'test': ('test', 'score a model of any task'),
    'predict': ('predict', 'use a trained model on your own pictures'),
    'web': ('web', 'try a model on a page in the browser'),
    'check-data': ('check_data', 'look at all data that a config names'),
    'plot': ('plot', 'curves of trainings, one or several'),
    'mistakes': ('mistakes', 'confusion matrix and worst images of a trained model'),
    'visualize': ('visualize', 'pictures of attention, global queries, Grad-CAM and shifts'),
    'dry-run': ('dry_run', 'try a config in minutes before a run of days'),
    'publish': ('publish', "a trained model's weights, to give to others"),
    'export': ('export', 'write a trained model as an ONNX file, for other machines'),
    'convert': ('convert_checkpoint', 'convert a checkpoint between layouts'),
    'flops': ('get_flops', "count a model's parameters and multiply-adds"),
    'benchmark': ('benchmark', 'time and memory of models, side by side'),
    'ablate': ('ablate', "train a paper's ablation with several seeds, and write its table"),
    'digits': ('make_digits', "make the demo's data set"),
    'miniature': ('make_miniature', 'make miniatures of COCO, ADE20K and ImageNet-1K'),
}
# What a report of a fault needs.
STANDS_ON = ('torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain')


def usage() -> str:
    lines = '\n'.join(f'    mmgcvit {name:<14}{what}' for name, (_, what) in COMMANDS.items())
    return f'Commands, each with --help:\n{lines}\n--version says which versions of what are installed.'


def versions() -> str:
    """What a report of a fault should name: this package and what it stands on, a line each."""
    # By the files of whichever distributions they are of: Python 3.10 has no better way.
    installed = {file.parts[0]: found.version for found in distributions() for file in found.files or ()}
    rows = [(name, installed.get(name, 'none')) for name in STANDS_ON]
    rows = [('mmgcvit', __version__), *rows, ('Python', python_version()), ('system', platform())]
    return '\n'.join(f'{name:<12}{number}' for name, number in rows)


def main() -> None:
    """What the console command and ``python -m mmgcvit`` do."""
    name = sys.argv[1] if len(sys.argv) > 1 else '--help'
    if name in ('-h', '--help'):
        print(usage())
    elif name == '--version':
        print(versions())
    elif name not in COMMANDS:
        raise SystemExit(f'mmgcvit has no command {name!r}{suggest(name, COMMANDS)}\n{usage()}')
    else:
        run_command(name, sys.argv[2:])


def run_command(name: str, arguments: Sequence[object] | None = None) -> None:
    """Run one of :data:`COMMANDS` in this process, by default with what this program was called with.

    Whatever a user can mend is said here, in one sentence, and nowhere else: by a SystemExit.
    """
    if arguments is not None:
        sys.argv = [f'mmgcvit {name}', *map(str, arguments)]
    run = exit_of
    if 'TORCHELASTIC_ERROR_FILE' in os.environ:
        # One of several processes: torch's launcher gets the traceback of what nobody has foreseen, for its summary.
        from torch.distributed.elastic.multiprocessing.errors import record

        run = record(run)
    code = run(name)
    if code is not None:
        raise SystemExit(code)


def exit_of(name: str) -> int | str | None:
    """Run a command on the arguments of this program; what to exit with."""
    full_disk = ''
    try:
        command = import_module(f'.{COMMANDS[name][0]}', __package__)
        args = parse(command)
        full_disk = getattr(command, 'FULL_DISK', '')
        with without_noise():
            return command.main(args)
    except KeyboardInterrupt:
        print('interrupted')
        return INTERRUPTED
    except UserError as error:
        return f'{name}: {error}'
    except ModuleNotFoundError as error:
        # Of a missing host the registries say a sentence.
        try:
            import_module('mmgcvit.registry')
        except UserError as host_missing:
            return f'{name}: {host_missing}'
        if error.name not in BROUGHT_BY:
            raise
        return f'{name}: {needs("this", error.name)}'
    except OSError as error:
        if full_disk and is_full_disk(error):
            return f'{name}: {error.strerror}{full_disk.format(**vars(args))}'
        # Without a file's name the user cannot tell what to do: that one is for those who mend the program.
        if error.filename is None:
            raise
        return f'{name}: {printable(f"{error.filename}: {error.strerror}")}'
