"""Command-line options that several commands share, and helpers that parse and check them."""

import math
import os
import re
import sys
from argparse import (
    SUPPRESS,
    ArgumentParser,
    ArgumentTypeError,
    BooleanOptionalAction,
    Namespace,
    _ActionsContainer,
)
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..errors import UserError, escape_controls, suggest
from ..host.config import locate_config
from ..host.files import check_writable, create_numbered
from ..own.training.options import MAX_NUMBER, OPTIONS, format_option
from ..predict.thresholds import ScoreThr
from .habits import translate_options

if TYPE_CHECKING:
    from mmengine.config import Config

CHECKPOINT_SUFFIXES = ('.pth', '.pt', '.tar', '.ckpt', '.safetensors')
CONFIG = 'a config file, for example configs/mask_rcnn_gcvit_t.py'


def parse_args(command: ModuleType, name: str) -> Namespace:
    """Parse this process's arguments with the options of ``command``, the module of the command
    ``name``.
    """
    arguments = sys.argv[1:]
    # pathlib reads '' as the current folder.
    if any(re.fullmatch(r'(--[\w-]+=)?', word) for word in arguments):
        raise UserError(
            'one of the arguments is empty. If it comes from a variable, set this variable'
        )
    # The description is the first line of the docstring, without the usage that it may end with.
    docstring = command.__doc__ or ''
    description = re.sub(': mmgcvit .*', '.', docstring.partition('\n')[0])
    parser = ArgumentParser(description=description, epilog=format_epilog(command))
    command.add_options(parser)
    args, unknown = parser.parse_known_intermixed_args(translate_options(name, arguments))
    if unknown:
        options = re.findall(r'(?<=--)[a-z][\w-]+', parser.format_help())
        suggestion = suggest(unknown[0].lstrip('-'), options, format_option) or '.'
        raise UserError(f'unknown argument {unknown[0]}{suggestion} All are in --help')
    return args


def format_epilog(command: ModuleType) -> str | None:
    """Return a command's example and its page, which end its help. Scripts in tools have none."""
    if not hasattr(command, 'EXAMPLE'):
        return None
    return f'Example: {command.EXAMPLE}. More: {command.PAGE}'


def list_usable_options(names: Sequence[str], args: Namespace) -> list[str]:
    """Return the options of a command that are called like arguments of the library.

    Those of :data:`OPTIONS` need ``--data``.
    """
    has_data = bool(getattr(args, 'data', None))
    return [
        format_option(name)
        for name in names
        if hasattr(args, name) and (has_data or name not in OPTIONS)
    ]


def add_common_options(parser: ArgumentParser, work_dir: str = 'work_dirs/CONFIG_NAME') -> None:
    """Add the options that ``mmgcvit train`` and ``mmgcvit test`` share.

    OpenMMLab's scripts have some of them too.
    """
    parser.add_argument('--work-dir', help=f'folder for logs and checkpoints (default: {work_dir})')
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='launcher of a distributed run (default: none)',
    )
    parser.add_argument(
        '--progress',
        action=BooleanOptionalAction,
        help='show progress bars, and write the log only to its file (default: if train --data '
        'runs in a terminal)',
    )
    add_device_option(parser)
    # Old versions of torch's launcher pass the local rank as an option.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=SUPPRESS)


def add_data_option(parser: _ActionsContainer, name: str) -> None:
    """Add an option of ``train --data``. Its values are checked by :class:`.Options`."""
    option = OPTIONS[name]
    settings: dict[str, Any] = {'help': option.full_help}
    if option.type is bool:
        settings |= {'action': 'store_true', 'default': None}
    else:
        settings |= {'type': option.type, 'choices': option.choices, 'metavar': option.metavar}
    if option.value_if_bare is not None:
        settings |= {'nargs': '?', 'const': option.value_if_bare}
    parser.add_argument(format_option(name), **settings)


def add_integer(
    parser: _ActionsContainer,
    option: str,
    text: str,
    metavar: str = 'N',
    default: int | None = None,
) -> None:
    """Add an option with the help ``text`` whose value is an integer."""
    parser.add_argument(option, type=int, metavar=metavar, default=default, help=text)


def add_cfg_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action='extend',
        type=check_key_value,
        metavar='KEY=VALUE',
        help='override settings of the config, for example model.backbone.with_cp=True '
        'train_dataloader.batch_size=1',
    )


def check_key_value(text: str) -> str:
    """Check the syntax of a value of ``--cfg-options``."""
    if '=' not in text:
        raise ArgumentTypeError(f'{text!r}: expected KEY=VALUE')
    return text


def add_score_thr(parser: ArgumentParser, text: str, *names: str) -> None:
    """Add ``--score-thr``, which also has the other ``names``. Its values are checked and collected
    by :func:`collect_score_thr`.
    """
    parser.add_argument(
        '--score-thr', *names, action='append', default=[], metavar='[CLASS=]SCORE', help=text
    )


def collect_score_thr(texts: Sequence[str]) -> list[ScoreThr]:
    """Return the values of ``--score-thr``: the last number for all classes, then those of single
    classes by name. Both are optional.

    Raise a UserError for a value that is not a number from 0 to 1.
    """
    overall: list[ScoreThr] = []
    by_class = {}
    for text in texts:
        name, equals, number = text.rpartition('=')  # the name of a class may contain it
        try:
            threshold = float(number)
        except ValueError:
            threshold = math.nan
        if not 0 <= threshold <= 1 or (equals and not name):
            raise UserError(
                f'--score-thr {text:.80}: expected a number from 0 to 1, or CLASS=NUMBER for one '
                'class, for example --score-thr 0.5 --score-thr cat=0.3'
            )
        if equals:
            by_class[name] = threshold
        else:
            overall = [threshold]
    return [*overall, by_class] if by_class else overall


def check_overridden(args: Namespace, **replacements: str) -> None:
    """Raise a UserError for a setting of ``--cfg-options`` that the command replaces.

    ``replacements`` are, by their names, the settings and what to do instead.
    """
    for text in args.cfg_options or ():
        name = text.partition('=')[0]
        if name in replacements:
            raise UserError(f'--cfg-options {name} would have no effect. {replacements[name]}')


def add_device_option(parser: ArgumentParser) -> None:
    parser.add_argument('--device', default='auto', help='auto (a GPU if any), cpu, cuda, cuda:N')


def hide_gpus(device: str) -> None:
    """Hide all GPUs if ``--device`` is cpu.

    Call this before importing mmengine, which looks for GPUs only once.
    """
    if device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = '-1'


def add_model_options(parser: ArgumentParser) -> None:
    """Add CONFIG [CHECKPOINT] --device."""
    add_config_and_checkpoint(parser)
    add_device_option(parser)


def add_config_and_checkpoint(parser: ArgumentParser) -> None:
    """Add the arguments CONFIG [CHECKPOINT], of which ``find_model_files`` finds the files."""
    parser.add_argument(
        'config',
        type=locate_config,
        metavar='CONFIG',
        help='a config file, or the work dir of a run',
    )
    parser.add_argument(
        'checkpoint',
        nargs='?',
        metavar='CHECKPOINT',
        help="checkpoint file or URL (default: the work dir's best or newest; configs/demo have "
        'their own)',
    )


def split_checkpoint(checkpoint: str | None, inputs: Sequence[str]) -> tuple[str | None, list[str]]:
    """Return the checkpoint, if one is given, and the inputs.

    Without a checkpoint, argparse stores the first input as one. The suffix, before a URL's query,
    tells them apart.
    """
    if checkpoint and not checkpoint.partition('?')[0].lower().endswith(CHECKPOINT_SUFFIXES):
        return None, [checkpoint, *inputs]
    return checkpoint, list(inputs)


def add_data_folder(parser: ArgumentParser) -> None:
    """Add ``--data`` for a command that reads the data of a run."""
    parser.add_argument(
        '--data',
        action='append',
        default=[],
        type=Path,
        metavar='FOLDER',
        help='the folder of the data, if a run of train --data or its data were moved apart; of a '
        'run on several folders all of them, in their order',
    )


def print_newer_files(cfg: 'Config') -> None:
    """Print which files of a run's data are newer than its start. ``cfg`` is from
    :func:`.locate_data`.
    """
    from ..own.training.resuming import describe_newer_files  # whose import takes seconds

    for line in describe_newer_files(cfg):
        print(escape_controls(line))


def add_out_dir(parser: ArgumentParser, default: str, overwrite_help: str) -> None:
    """Add ``--out-dir`` and ``--overwrite``.

    The command calls :func:`check_out_dir` and :func:`create_out_dir`.
    """
    parser.set_defaults(default_dir=Path(default))
    parser.add_argument(
        '--out-dir', type=Path, help=f'output folder (default: {default}, then {default}2, ...)'
    )
    parser.add_argument('--overwrite', action='store_true', help=overwrite_help)


def check_out_dir(args: Namespace, names: Sequence[str]) -> None:
    """Raise a UserError if the output folder cannot be written, or already has files with these
    names.
    """
    folder = args.out_dir or args.default_dir
    check_writable(folder, f'--out-dir {folder}')
    existing = [name for name in names if (folder / name).exists()]
    if args.out_dir and existing and not args.overwrite:
        reject_results(folder, existing)


def reject_results(folder: Path, names: Sequence[str]) -> None:
    """Raise a UserError for results that an output folder has already."""
    raise UserError(
        f'{folder} already has results ({", ".join(names)}). Choose another --out-dir, or add '
        '--overwrite to replace them'
    )


def create_out_dir(args: Namespace, subfolder: str | None, outdated: Sequence[str]) -> Path:
    """Create the output folder, by default a new numbered one, and return it. Remove files that
    match patterns in ``outdated`` from it.

    ``subfolder`` is one that the command writes into it, if it does. Raise a UserError if another
    command has written such files, or the subfolder, since :func:`check_out_dir`.
    """
    if args.out_dir:
        out_dir = args.out_dir
        found = [str(file.relative_to(out_dir)) for name in outdated for file in out_dir.glob(name)]
        if found and not args.overwrite:
            reject_results(out_dir, found)
        create_named_folder(out_dir, None if args.overwrite else subfolder)
    elif args.overwrite:
        out_dir = args.default_dir
    else:
        out_dir = create_numbered(args.default_dir)
    for pattern in outdated:
        for file in out_dir.glob(pattern):
            file.unlink()
    return out_dir


def create_named_folder(folder: Path, new_subfolder: str | None) -> None:
    """Create the folder that the user has named, and a subfolder. Raise a UserError if there is the
    subfolder already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if new_subfolder:
        try:
            (folder / new_subfolder).mkdir()
        except FileExistsError:
            reject_results(folder, [new_subfolder])


def check_at_least(args: Namespace, **minimums: int) -> None:
    """Raise a UserError if an option that is given has a value below its minimum, above MAX_NUMBER
    or NaN.
    """
    for name, minimum in minimums.items():
        option = getattr(args, name)
        for value in option if isinstance(option, list) else [option]:
            if value is not None and not minimum <= value <= MAX_NUMBER:
                raise UserError(
                    f'{format_option(name)} {value!s:.40}: expected at least {minimum}, and at '
                    f'most {MAX_NUMBER:,}'
                )
