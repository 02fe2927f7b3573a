"""Train a model of any task: mmgcvit train CONFIG [options]."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import check_config
from ..errors import UserError
from .options import CONFIG, Parser, add_common_options, check_at_least, config_of_run, hide_gpus

if TYPE_CHECKING:
    from ..datasets.formats.dataset_info import DatasetInfo

# What is said of a full disk, behind the system's words.
FULL_DISK = (
    ': the run could not write, and has ended (work dir {work_dir}). Make room, then call it again; training goes on '
    'from its latest checkpoint with --resume'
)
# What may be said of --data.
OF_DATA = ('task', 'size', 'epochs', 'image_size', 'pretrained')


def add_options(parser: Parser) -> None:
    parser.add_argument('config', nargs='?', metavar='CONFIG', help=CONFIG)
    own = parser.add_argument_group('own data, instead of CONFIG')
    own.add_argument(
        '--data',
        metavar='FOLDER',
        help='train on a folder of COCO, YOLO or Pascal VOC annotations, of a folder for each class, or of images with '
        'label files; the config made for it is written into the work dir (default: work_dirs/FOLDER)',
    )
    own.add_argument('--task', choices=('detect', 'segment', 'classify'), help='default: what the data are made for')
    own.add_argument(
        '--size',
        choices=('mini', 'xxtiny', 'xtiny', 'tiny', 'small', 'base', 'large'),
        help='xxtiny, xtiny and large to classify only (default: tiny with a GPU, else mini)',
    )
    own.add_argument('--epochs', type=int, metavar='N', help='default: by the number of images')
    own.add_argument(
        '--image-size', type=int, metavar='PIXELS', help='side that images are brought to (default: by task and size)'
    )
    own.add_argument(
        '--pretrained',
        metavar='WEIGHTS',
        help="the backbone's: a file, an address, timm://NAME or none (default: those released; of mini the demo's)",
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (bfloat16 where the GPU has it)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate from the batch size that the config was made for to the actual one',
    )
    beginning = parser.add_mutually_exclusive_group()
    beginning.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint, or without a name from the latest in the work dir, if there is one',
    )
    beginning.add_argument(
        '--overwrite',
        action='store_true',
        help="begin anew in a work dir with an earlier run's checkpoints, which the first iteration removes",
    )
    parser.add_argument(
        '--log-to',
        nargs='+',
        default=[],
        choices=('tensorboard', 'wandb'),
        help='show losses and scores in these programs too: tensorboard --logdir WORK_DIR, or your W&B account',
    )
    add_common_options(parser)


def check_args(args: argparse.Namespace) -> None:
    """Refuse a CONFIG beside ``--data``, and options that belong to the other."""
    if (args.config is None) == (args.data is None):
        raise UserError('expected a CONFIG, or own data by --data FOLDER, and not both')
    given = [f'--{name.replace("_", "-")}' for name in OF_DATA if getattr(args, name) is not None]
    if args.data is None and given:
        raise UserError(f'{" ".join(given)}: only with --data; of a CONFIG change the lines, or take --cfg-options')
    if args.data is not None and args.launcher != 'none':
        raise UserError('--data trains in one process; on several GPUs, name the config that it has made')
    # As datasets/own_data.py has them, which takes a second to import.
    check_at_least(args, epochs=1, image_size=32)
    if args.config is not None and Path(args.config).is_dir():
        raise UserError(
            f'{args.config} is a folder; own data are trained with --data {args.config}, and a run is resumed by the '
            'config in its work dir'
        )


def main(args: argparse.Namespace) -> None:
    check_args(args)
    if args.config is not None:
        check_config(args.config)
    found = None
    if args.data is not None:
        from ..datasets.formats import read_folder

        found = read_folder(args.data)
    hide_gpus(args.device)
    from ..engine.processes import leaving_processes
    from ..engine.setup import check_machine
    from ..engine.train import train

    check_machine(args.device, args.launcher)
    if found is not None:
        args.config, args.work_dir = config_for_data(args, found)
    with leaving_processes():
        train(
            config_of_run(args),
            amp=args.amp,
            auto_scale_lr=args.auto_scale_lr,
            resume=args.resume,
            overwrite=args.overwrite,
            log_to=args.log_to,
            progress=args.progress,
            trust_checkpoint=args.trust_checkpoint,
        )


def config_for_data(args: argparse.Namespace, found: DatasetInfo) -> tuple[str, str]:
    """The config that trains what ``--data`` holds, made now or by the run that is resumed, and its work dir."""
    from ..datasets.own_data import get_run, make_config
    from ..engine.resume import require_unused
    from ..engine.setup import check_work_dir

    name, work_dir = get_run(found, args.work_dir)
    own = work_dir / f'{name}.py'
    if args.resume and own.is_file():
        print(f'resumes {own}, with its size, epochs, image size and weights')
    else:
        if not args.overwrite:
            require_unused(work_dir)
        check_work_dir(str(work_dir))
        own, said = make_config(found, work_dir, **{name: getattr(args, name) for name in OF_DATA})
        print(said)
    return str(own), str(work_dir)
