"""Options that MM users know from every MM code base, and what they do to a config."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction

from ..hosts.configs import read_config
from ..hosts.machine import check_gpus, use_cpu
from ..hosts.operators import check_operators_load


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Options of training and testing alike."""
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/CONFIG_NAME)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override settings of the config, for example model.backbone.with_cp=True train_dataloader.batch_size=1',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='who started the processes'
    )
    add_device_option(parser)
    # Set by old versions of torch's launcher.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    """The option by which a user's own file may hold objects of any class."""
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='read the named checkpoint as Python does, running code in it: only for files of your own making',
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """The option by which the CPU is asked for."""
    parser.add_argument(
        '--device', choices=['auto', 'cpu'], default='auto', help='auto: on GPUs where there are any (default); or cpu'
    )


def load_config(args: argparse.Namespace) -> Config:
    """Read ``args.config`` and apply the common options.

    Raises:
        UserError: The file does not exist.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = read_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    return cfg


def look_at_machine(command: str, device: str) -> None:
    """Hide the GPUs if the user wants the CPU; refuse GPUs and operators that are there and do not work."""
    if device == 'cpu':
        use_cpu(command)
    check_gpus()
    check_operators_load()
