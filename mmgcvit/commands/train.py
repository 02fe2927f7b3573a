"""Train a model: mmgcvit train CONFIG [options]."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import check_config
from ..errors import UserError
from .options import CONFIG, Parser, add_common_options, check_at_least, hide_gpus, load_run_config

if TYPE_CHECKING:
    from ..datasets.formats.dataset_info import DatasetInfo

# Follows the system's message.
FULL_DISK = (
    ': the run could not write to {work_dir} and has stopped. Free some space, then continue from the latest '
    'checkpoint with --resume'
)
DATA_OPTIONS = ('task', 'size', 'epochs', 'image_size', 'pretrained')


def add_options(parser: Parser) -> None:
    parser.add_argument('config', nargs='?', metavar='CONFIG', help=CONFIG)
    own = parser.add_argument_group('train on your own data, instead of CONFIG')
    own.add_argument(
        '--data',
        metavar='FOLDER',
        help='a folder in COCO, YOLO or Pascal VOC format, of class folders, or of images with segmentation maps; its '
        'config is written into the work dir (default: work_dirs/FOLDER)',
    )
    own.add_argument('--task', choices=('detect', 'segment', 'classify'), help='default: by the annotations')
    own.add_argument(
        '--size',
        choices=('mini', 'xxtiny', 'xtiny', 'tiny', 'small', 'base', 'large'),
        help='xxtiny, xtiny and large are for classification only (default: tiny with a GPU, else mini)',
    )
    own.add_argument('--epochs', type=int, metavar='N', help='default: by the number of images')
    own.add_argument(
        '--image-size', type=int, metavar='PIXELS', help='side of the resized images (default: by task and size)'
    )
    own.add_argument(
        '--pretrained',
        metavar='WEIGHTS',
        help="backbone weights: a file, a URL, timm://NAME or none (default: the released ones; for mini the demo's)",
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (bfloat16 if the GPU has it)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the actual batch size',
    )
    beginning = parser.add_mutually_exclusive_group()
    beginning.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from this checkpoint (default: the latest in the work dir, if there is one)',
    )
    beginning.add_argument(
        '--overwrite',
        action='store_true',
        help="start anew; the first iteration removes an earlier run's checkpoints",
    )
    parser.add_argument(
        '--log-to',
        nargs='+',
        default=[],
        choices=('tensorboard', 'wandb'),
        help='also log to these: tensorboard --logdir WORK_DIR, or your W&B account',
    )
    add_common_options(parser)


def check_args(args: argparse.Namespace) -> None:
    """Require either a CONFIG or ``--data``, and reject the options of the other."""
    if (args.config is None) == (args.data is None):
        raise UserError('expected either a CONFIG or --data FOLDER')
    given = [f'--{name.replace("_", "-")}' for name in DATA_OPTIONS if getattr(args, name) is not None]
    if args.data is None and given:
        raise UserError(f'{" ".join(given)}: only with --data; for a CONFIG, edit the file or use --cfg-options')
    if args.data is not None and args.launcher != 'none':
        raise UserError('--data trains in one process; for several GPUs, launch the config that it has written')
    check_at_least(args, epochs=1, image_size=32)
    if args.config is not None and Path(args.config).is_dir():
        raise UserError(
            f'{args.config} is a folder: to train on it use --data {args.config}; to resume a run, name the config in '
            'its work dir'
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
    from ..engine.processes import leave_processes
    from ..engine.setup import check_machine
    from ..engine.train import train

    check_machine(args.device, args.launcher)
    if found is not None:
        args.config, args.work_dir = prepare_config(args, found)
    with leave_processes():
        train(
            load_run_config(args),
            amp=args.amp,
            auto_scale_lr=args.auto_scale_lr,
            resume=args.resume,
            overwrite=args.overwrite,
            log_to=args.log_to,
            progress=args.progress,
            trust_checkpoint=args.trust_checkpoint,
        )


def prepare_config(args: argparse.Namespace, found: DatasetInfo) -> tuple[str, str]:
    """Return the config for ``--data``, written now or by the run to resume, and its work dir."""
    from ..datasets.own_data import get_run, make_config
    from ..engine.resume import require_unused
    from ..engine.setup import check_work_dir

    name, work_dir = get_run(found, args.work_dir)
    own = work_dir / f'{name}.py'
    if args.resume and own.is_file():
        print(f'resuming {own} with its own size, epochs, image size and weights')
    else:
        if not args.overwrite:
            require_unused(work_dir)
        check_work_dir(str(work_dir))
        own, said = make_config(found, work_dir, **{name: getattr(args, name) for name in DATA_OPTIONS})
        print(said)
    return str(own), str(work_dir)
