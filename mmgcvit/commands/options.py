"""Options that several commands take, and what they do."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..config import overrides
from ..errors import UserError, first_line
from ..files import find_free_path

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..inference import Predictor
    from ..inference.sources import Source

CONFIG = 'a config file, for example configs/mask_rcnn_gcvit_t.py'
LEFT_OUT = (
    'a checkpoint of that config: a file or an address; may be left out with a work dir, whose best or newest one is '
    'taken, and with a config that trained weights come with, as those of configs/demo'
)


def add_common_options(parser: argparse.ArgumentParser, work_dir: str = 'work_dirs/CONFIG_NAME') -> None:
    """Options of training and testing alike, as MM users know them from every MM code base."""
    parser.add_argument('--work-dir', help=f'folder for logs and checkpoints (default: {work_dir})')
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='who started the processes'
    )
    parser.add_argument(
        '--progress',
        action='store_true',
        help='show a bar, losses and scores instead of the log, which goes to its file',
    )
    add_device_option(parser)
    add_trust_option(parser)
    # Set by old versions of torch's launcher.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


class Parser(argparse.ArgumentParser):
    """argparse's, which also takes positional arguments behind options."""

    # Whether positional arguments may follow options although they may be left out.
    is_intermixed = False


def parse(command: ModuleType) -> argparse.Namespace:
    """What this program was called with, by the options of a command; its docstring says what that is for."""
    parser = Parser(description=re.sub(': mmgcvit .*', '.', command.__doc__.splitlines()[0]))
    command.add_options(parser)
    return parser.parse_intermixed_args() if parser.is_intermixed else parser.parse_args()


class Overrides(argparse.Action):
    """KEY=VALUE ... as texts by their keys; they are read with the config."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: list[str], option: str
    ) -> None:
        for text in values:
            if '=' not in text:
                parser.error(f'argument {option}: {text!r}: expected KEY=VALUE')
        earlier = getattr(namespace, self.dest) or {}
        setattr(namespace, self.dest, {**earlier, **dict(text.split('=', 1) for text in values)})


def add_cfg_options(parser: argparse.ArgumentParser, of: str = 'the config') -> None:
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Overrides,
        metavar='KEY=VALUE',
        help=f'override settings of {of}, for example model.backbone.with_cp=True train_dataloader.batch_size=1',
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--device',
        type=device,
        default='auto',
        help='auto: on GPUs where there are any (default); cpu, cuda, cuda:N',
    )


def hide_gpus(device: str) -> None:
    """Have CUDA see no GPU for ``--device cpu``, before mmengine is imported, which looks for them once."""
    if device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = '-1'


def device(text: str) -> str:
    """What every command takes for ``--device``; whether there is such a GPU is seen later."""
    if re.fullmatch(r'auto|cpu|cuda(:\d+)?', text) is None:
        raise argparse.ArgumentTypeError(f'device {text!r}: expected auto, cpu, cuda or cuda:N')
    return text


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    """The option by which a user's own file may hold objects of any class."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read the named checkpoint as Python does, running code in it: only for files of your own making',
    )


def add_source(parser: argparse.ArgumentParser, checkpoint: str | None = LEFT_OUT) -> None:
    """Add CONFIG [CHECKPOINT] of a trained model, or its work dir, which ``find_source`` resolves."""
    parser.add_argument('config', metavar='CONFIG', help='a config file, or the work dir of a run')
    if checkpoint is not None:
        parser.add_argument('checkpoint', nargs='?', metavar='CHECKPOINT', help=checkpoint)


def add_model_options(parser: argparse.ArgumentParser, checkpoint: str | None = LEFT_OUT, device: bool = True) -> None:
    """Add CONFIG [CHECKPOINT] --device --trust-checkpoint of a trained model, which :func:`load_model` loads.

    ``checkpoint`` is its help; None where other files follow CONFIG, and the command itself finds out whether the first
    is a checkpoint. Without ``device`` it runs on the CPU.
    """
    add_source(parser, checkpoint)
    if device:
        add_device_option(parser)
    else:
        parser.set_defaults(device='cpu')
    add_trust_option(parser)


def load_model(args: argparse.Namespace) -> tuple[Source, Predictor]:
    """Find the config and the checkpoint, and load the model."""
    # Training and testing, which take other options from here, need none of it.
    from ..inference.loading import load_for_command
    from ..inference.sources import find_source

    source = find_source(args.config, args.checkpoint)
    return source, load_for_command(source, args.device, getattr(args, 'score_thr', None), args.trust_checkpoint)


def add_out_dir(parser: argparse.ArgumentParser, default: str, overwrite: str) -> None:
    """--out-dir and --overwrite, whose help is given; :func:`resolve_out_dir` takes what is parsed."""
    parser.set_defaults(default_dir=Path(default))
    parser.add_argument(
        '--out-dir', type=Path, help=f'folder to make (default: {default}; where that is filled, {default}2, ...)'
    )
    parser.add_argument('--overwrite', action='store_true', help=overwrite)


def resolve_out_dir(args: argparse.Namespace) -> None:
    """Count up the default folder, so that a second call needs no option, unless what is there may be replaced."""
    if args.out_dir is None:
        args.out_dir = args.default_dir if args.overwrite else find_free_path(args.default_dir)


def check_at_least(args: argparse.Namespace, **least: int) -> None:
    """Refuse numbers below the least that means something; an option that was not given is passed over."""
    for name, number in least.items():
        given = getattr(args, name)
        for value in given if isinstance(given, list | tuple) else [given]:
            if value is not None and value < number:
                raise UserError(f'--{name.replace("_", "-")} {value}: expected at least {number}')


def config_of_run(args: argparse.Namespace) -> Config:
    """The config of a training or test, as the common options say; they know its work dir from then on."""
    from ..engine.setup import load_config

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, overrides(args.cfg_options), args.work_dir, args.launcher)
    args.work_dir = cfg.work_dir
    return cfg


@contextmanager
def said_where_it_fails(target: Path) -> Iterator[None]:
    """Say of a checkpoint that could not be written what it is; its folder is made."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except Exception as error:  # torch's and safetensors' own, with the disk's reason or without.
        raise UserError(f'{target} could not be written ({first_line(error)}); is there room on the disk?') from None
