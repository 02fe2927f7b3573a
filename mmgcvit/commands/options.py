"""Command-line options that several commands share."""

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
from ..errors import UserError, get_first_line
from ..files import find_free_path

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..inference import Predictor
    from ..inference.sources import Source

CONFIG = 'a config file, for example configs/mask_rcnn_gcvit_t.py'
OPTIONAL_CHECKPOINT = (
    'a checkpoint of that config: a file or URL; optional for a work dir (default: its best or newest checkpoint) and '
    'for configs that come with weights, such as those of configs/demo'
)


def add_common_options(parser: argparse.ArgumentParser, work_dir: str = 'work_dirs/CONFIG_NAME') -> None:
    """Add the options of the MM train and test scripts."""
    parser.add_argument('--work-dir', help=f'folder for logs and checkpoints (default: {work_dir})')
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='launcher of distributed runs'
    )
    parser.add_argument(
        '--progress',
        action='store_true',
        help='show a progress bar, losses and scores; the log goes to its file only',
    )
    add_device_option(parser)
    add_trust_option(parser)
    # Set by old versions of torch's launcher.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


class Parser(argparse.ArgumentParser):
    """An argument parser for commands."""

    # Whether optional positional arguments may follow options.
    is_intermixed = False


def parse(command: ModuleType) -> argparse.Namespace:
    """Parse the arguments of this process by a command's options; its docstring is the description."""
    parser = Parser(description=re.sub(': mmgcvit .*', '.', command.__doc__.splitlines()[0]))
    command.add_options(parser)
    return parser.parse_intermixed_args() if parser.is_intermixed else parser.parse_args()


class Overrides(argparse.Action):
    """Collect KEY=VALUE arguments as strings; they are parsed with the config."""

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
        help='auto (default): a GPU if there is one; cpu, cuda, cuda:N',
    )


def hide_gpus(device: str) -> None:
    """Hide GPUs for ``--device cpu``; call it before importing mmengine, which looks for them once."""
    if device == 'cpu':
        os.environ['CUDA_VISIBLE_DEVICES'] = '-1'


def device(text: str) -> str:
    """Parse ``--device``; whether the GPU exists is checked later."""
    if re.fullmatch(r'auto|cpu|cuda(:\d+)?', text) is None:
        raise argparse.ArgumentTypeError(f'device {text!r}: expected auto, cpu, cuda or cuda:N')
    return text


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    """Add the option to unpickle a checkpoint."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='unpickle the checkpoint, which can run code in it: only for your own files',
    )


def add_source(parser: argparse.ArgumentParser, checkpoint: str | None = OPTIONAL_CHECKPOINT) -> None:
    """Add CONFIG [CHECKPOINT], which ``find_source`` resolves; CONFIG may be a work dir."""
    parser.add_argument('config', metavar='CONFIG', help='a config file, or the work dir of a run')
    if checkpoint is not None:
        parser.add_argument('checkpoint', nargs='?', metavar='CHECKPOINT', help=checkpoint)


def add_model_options(
    parser: argparse.ArgumentParser, checkpoint: str | None = OPTIONAL_CHECKPOINT, device: bool = True
) -> None:
    """Add CONFIG [CHECKPOINT] --device --trust-checkpoint, from which :func:`load_model` loads a model.

    ``checkpoint`` is its help; None for commands that find out themselves whether the argument behind CONFIG is a
    checkpoint. Without ``device`` the command runs on the CPU.
    """
    add_source(parser, checkpoint)
    if device:
        add_device_option(parser)
    else:
        parser.set_defaults(device='cpu')
    add_trust_option(parser)


def load_model(args: argparse.Namespace) -> tuple[Source, Predictor]:
    """Find the config and the checkpoint, and load the model."""
    from ..inference.loading import load_for_command
    from ..inference.sources import find_source

    source = find_source(args.config, args.checkpoint)
    return source, load_for_command(source, args.device, getattr(args, 'score_thr', None), args.trust_checkpoint)


def add_out_dir(parser: argparse.ArgumentParser, default: str, overwrite: str) -> None:
    """Add --out-dir and --overwrite, which :func:`resolve_out_dir` resolves."""
    parser.set_defaults(default_dir=Path(default))
    parser.add_argument('--out-dir', type=Path, help=f'output folder (default: {default}, then {default}2, ...)')
    parser.add_argument('--overwrite', action='store_true', help=overwrite)


def resolve_out_dir(args: argparse.Namespace) -> None:
    """Number the default folder, so that a second call needs no option."""
    if args.out_dir is None:
        args.out_dir = args.default_dir if args.overwrite else find_free_path(args.default_dir)


def check_at_least(args: argparse.Namespace, **least: int) -> None:
    """Reject numbers below their minimum; options that were not given are skipped."""
    for name, number in least.items():
        given = getattr(args, name)
        for value in given if isinstance(given, list | tuple) else [given]:
            if value is not None and value < number:
                raise UserError(f'--{name.replace("_", "-")} {value}: expected at least {number}')


def load_run_config(args: argparse.Namespace) -> Config:
    """Load the config of a training or test and set ``args.work_dir``."""
    from ..engine.setup import load_config

    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, overrides(args.cfg_options), args.work_dir, args.launcher)
    args.work_dir = cfg.work_dir
    return cfg


@contextmanager
def report_write_errors(target: Path) -> Iterator[None]:
    """Create the folder of a file; report an error while the file is written as a UserError."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except Exception as error:  # torch and safetensors raise their own types.
        raise UserError(
            f'{target} could not be written ({get_first_line(error)}); is there room on the disk?'
        ) from None
