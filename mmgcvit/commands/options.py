"""Command-line options that several commands share, helpers that parse and check them, and what
others call them.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from configparser import ConfigParser
from itertools import chain, dropwhile, product, takewhile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import UserError, suggest
from ..files import check_writable, create_numbered
from ..tasks import TEMPLATES

if TYPE_CHECKING:
    from ..inference.predictor import Predictor

CONFIG = 'a config file, for example configs/mask_rcnn_gcvit_t.py'
CONFIG_OR_WORK_DIR = 'a config file, or the work dir of a run'
MAX_NUMBER = 10**9  # the largest number that an option may have
# The levels of ``augment`` at the head of the templates configs/custom_*.py.
AUGMENTATIONS = ('none', 'light', 'strong')
OPTIONAL_CHECKPOINT = (
    "checkpoint file or URL (default: the work dir's best or newest; configs/demo have their own)"
)


def add_common_options(
    parser: argparse.ArgumentParser, work_dir: str = 'work_dirs/CONFIG_NAME'
) -> None:
    """Add the options that ``mmgcvit train`` and ``mmgcvit test`` share.

    OpenMMLab's scripts have some of them too.
    """
    parser.add_argument('--work-dir', help=f'folder for logs and checkpoints (default: {work_dir})')
    add_cfg_options(parser)
    launchers, text = (
        ['none', 'pytorch', 'slurm', 'mpi'],
        'launcher of a distributed run (default: none)',
    )
    parser.add_argument('--launcher', choices=launchers, default='none', help=text)
    text = 'show progress bars, and write the log only to its file (default: if train --data runs in a terminal)'
    parser.add_argument('--progress', action=argparse.BooleanOptionalAction, help=text)
    add_device_option(parser)
    # Old versions of torch's launcher pass the local rank as an option.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def parse_args(command: ModuleType) -> argparse.Namespace:
    """Parse this process's arguments with the options of ``command``, the module of a command."""
    if any(
        re.fullmatch(r'(--[\w-]+=)?', word) for word in sys.argv[1:]
    ):  # pathlib reads '' as the current folder
        raise UserError(
            'one of the arguments is empty. If it comes from a variable, set this variable'
        )
    # The description is the first line of the docstring, without the usage that it may end with.
    parser = argparse.ArgumentParser(
        description=re.sub(': mmgcvit .*', '.', command.__doc__.splitlines()[0])
    )
    command.add_options(parser)
    name = command.__name__.rpartition('.')[2].replace('_', '-')
    # Options may stand between positional arguments, which argparse does not support for
    # subcommands.
    has_subcommands = getattr(command, 'HAS_SUBCOMMANDS', False)
    parse = parser.parse_known_args if has_subcommands else parser.parse_known_intermixed_args
    args, unknown = parse(translate_arguments(name, sys.argv[1:]))
    if unknown:
        options = re.findall(r'(?<=--)[a-z][\w-]+', parser.format_help())
        suggestion = (
            suggest(unknown[0].lstrip('-'), options, format_option)
            if unknown[0].startswith('--')
            else ''
        )
        raise UserError(f'unknown argument {unknown[0]}{suggestion or "."} All are in --help')
    return args


def read_habits() -> dict[tuple[str, str], str]:
    """Return ``habits.ini``: what each (command, name) of other programs is here, or else a
    sentence for the user.
    """
    table = ConfigParser(delimiters='=', interpolation=None)
    table.read_string(Path(__file__).with_name('habits.ini').read_text(encoding='utf-8'))
    rows = ((section, *row) for section in table.sections() for row in table.items(section))
    pairs = (
        (product(commands.split(), names.split()), ' '.join(text.split()))
        for commands, names, text in rows
    )
    return {pair: text for row_pairs, text in pairs for pair in row_pairs}


def translate_arguments(command: str, arguments: Sequence[str]) -> list[str]:
    """Return a command's arguments under their names here, those that are positional here in their
    place.

    If they begin with KEY=VALUE, as ultralytics' do, ``--KEY=VALUE`` is meant, up to the first
    option. Raise a UserError for an option of the table that no argument here replaces.
    """
    habits, moved, rest, words = read_habits(), {'CONFIG': [], 'INPUT': []}, [], list(arguments)
    first = list(takewhile(is_value, words))
    if first and is_setting(first[0]):
        words[: len(first)] = [
            f'--{word}'.removesuffix('=True') if is_setting(word) else word for word in first
        ]
    while words and words[0] != '--':
        name, equals, value = words.pop(0).partition('=')
        name = name.replace('_', '-') if name.startswith('--') else name
        meaning = habits.get((command, name[2:])) if name.startswith('--') else None
        if meaning in moved:
            moved[meaning] += [value] * bool(equals) + list(takewhile(is_value, words))
            words = list(dropwhile(is_value, words))
        elif meaning is None or meaning.startswith('--'):
            rest.append(f'{meaning or name}{equals}{value}')
        else:
            raise UserError(f'{name} is not an option of {command}. {meaning}')
    # After --, no argument is a value of the option before, which may take any number of values.
    return [*moved['CONFIG'], *rest, *(words or ['--'] * bool(moved['INPUT'])), *moved['INPUT']]


def is_value(word: str) -> bool:
    return not word.startswith('-')


def is_setting(word: str) -> bool:
    return re.match(r'[a-z]\w*=', word) is not None and not Path(word).exists()


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    text = 'override settings of the config, for example model.backbone.with_cp=True train_dataloader.batch_size=1'
    settings = {'nargs': '+', 'action': 'extend', 'type': check_key_value, 'metavar': 'KEY=VALUE'}
    parser.add_argument('--cfg-options', help=text, **settings)


def check_key_value(text: str) -> str:
    """Check the syntax of a value of ``--cfg-options``."""
    if '=' not in text:
        raise argparse.ArgumentTypeError(f'{text!r}: expected KEY=VALUE')
    return text


def add_task(parser: argparse._ActionsContainer) -> None:
    tasks = tuple(dict.fromkeys(template.option for template in TEMPLATES.values()))
    parser.add_argument(
        '--task',
        choices=tasks,
        help='default: by annotations; maps: segment (instances) or semantic',
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--device', type=parse_device, default='auto', help='auto (a GPU if any), cpu, cuda, cuda:N'
    )


def hide_gpus(device: str) -> None:
    """Hide all GPUs if ``--device`` is cpu.

    Call this before importing mmengine, which looks for GPUs only once.
    """
    if device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = '-1'


def parse_device(text: str) -> str:
    """Check the syntax of ``--device``; N is cuda:N. Whether the GPU exists is checked later."""
    if re.fullmatch(r'auto|cpu|cuda|(cuda:)?[0-9]+', text) is None:
        raise argparse.ArgumentTypeError(
            f'device {text!r}: expected auto, cpu, cuda or cuda:N, which is one GPU'
        )
    return f'cuda:{text}' if text[0].isdecimal() else text


def add_config_and_checkpoint(parser: argparse.ArgumentParser) -> None:
    """Add the arguments CONFIG [CHECKPOINT], which ``load`` resolves."""
    parser.add_argument('config', metavar='CONFIG', help=CONFIG_OR_WORK_DIR)
    parser.add_argument('checkpoint', nargs='?', metavar='CHECKPOINT', help=OPTIONAL_CHECKPOINT)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add CONFIG [CHECKPOINT] --device, from which :func:`load_model` loads a model."""
    add_config_and_checkpoint(parser)
    add_device_option(parser)


def load_model(args: argparse.Namespace) -> Predictor:
    """Load the model of a command's arguments without printing.

    Raise a UserError if torch cannot use the GPU.
    """
    from ..device import check_gpus, check_operators, disable_cudnn_attention
    from ..inference.loading import load, silence_output
    from ..inference.model_files import check_model_files, read_model_checkpoint

    if args.device == 'auto':
        check_gpus()
    disable_cudnn_attention()
    checkpoint = read_model_checkpoint(
        check_model_files(args.config, args.checkpoint)
    )  # which may warn
    with silence_output():
        model = load(args.config, checkpoint, args.device, getattr(args, 'score_thr', None))
    if model.device.type == 'cuda':
        check_operators({'default_scope': model.scope})
    return model


def add_out_dir(parser: argparse.ArgumentParser, default: str, overwrite_help: str) -> None:
    """Add ``--out-dir`` and ``--overwrite``.

    The command calls :func:`check_out_dir` and :func:`create_out_dir`.
    """
    parser.set_defaults(default_dir=Path(default))
    parser.add_argument(
        '--out-dir', type=Path, help=f'output folder (default: {default}, then {default}2, ...)'
    )
    parser.add_argument('--overwrite', action='store_true', help=overwrite_help)


def check_out_dir(args: argparse.Namespace, names: Sequence[str]) -> None:
    """Raise a UserError if the output folder cannot be written, or already has files with these
    names.
    """
    folder = args.out_dir or args.default_dir
    check_writable(folder, f'--out-dir {folder}')
    existing_names = [name for name in names if (folder / name).exists()]
    if args.out_dir and existing_names and not args.overwrite:
        advice = 'Choose another --out-dir, or add --overwrite to replace them'
        raise UserError(f'{folder} already has results ({", ".join(existing_names)}). {advice}')


def create_out_dir(args: argparse.Namespace, subfolder: str, outdated: Sequence[str]) -> None:
    """Create the output folder, by default a new numbered one, and remove files that match patterns
    in ``outdated``.
    """
    if args.out_dir is None:
        args.out_dir = args.default_dir if args.overwrite else create_numbered(args.default_dir)
    elif not args.overwrite:
        (args.out_dir / subfolder).mkdir(
            parents=True
        )  # an error if another command has the same --out-dir
    for file in chain.from_iterable(map(args.out_dir.glob, outdated)):
        file.unlink()


def format_option(name: str) -> str:
    """Return an option as users write it: ``--batch-size`` for ``batch_size``."""
    return f'--{name.replace("_", "-")}'


def check_at_least(args: argparse.Namespace, **minimums: int) -> None:
    """Raise a UserError if an option that is given has a value below its minimum, above MAX_NUMBER
    or NaN.
    """
    for name, minimum in minimums.items():
        option = getattr(args, name)
        for value in option if isinstance(option, list | tuple) else [option]:
            if value is not None and not minimum <= value <= MAX_NUMBER:
                limits = f'expected at least {minimum}, and at most {MAX_NUMBER:,}'
                raise UserError(f'{format_option(name)} {value!s:.40}: {limits}')
