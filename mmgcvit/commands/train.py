"""Train a model: mmgcvit train CONFIG [options]."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import check_config, get_name_and_work_dir
from ..errors import UserError
from .options import CONFIG, Parser, add_common_options, check_at_least, hide_gpus, load_run_config

if TYPE_CHECKING:
    from ..datasets.formats.dataset_info import DatasetInfo

# Advice that commands/main.py adds to the error if the disk is full.
FULL_DISK = (
    ': the run could not write to {work_dir} and has stopped. Free some disk space, then continue from the latest '
    'checkpoint with --resume'
)
DATA_OPTIONS = ('task', 'size', 'epochs', 'image_size', 'pretrained', 'batch_size', 'lr', 'workers')


def add_options(parser: Parser) -> None:
    parser.add_argument('config', nargs='?', metavar='CONFIG', help=CONFIG)
    own = parser.add_argument_group('train on your own data, without a CONFIG')
    own.add_argument(
        '--data',
        metavar='FOLDER',
        help='a dataset in COCO, YOLO or Pascal VOC format, a folder of class folders, or images with segmentation '
        'maps; the config is written into the work dir (default: work_dirs/FOLDER)',
    )
    own.add_argument('--task', choices=('detect', 'segment', 'classify'), help='task (default: by the annotations)')
    own.add_argument(
        '--size',
        choices=('mini', 'xxtiny', 'xtiny', 'tiny', 'small', 'base', 'large'),
        help='network size; xxtiny, xtiny and large are for classification only (default: tiny with a GPU, else mini)',
    )
    own.add_argument('--epochs', type=int, metavar='N', help='epochs (default: by the number of images)')
    own.add_argument(
        '--image-size', type=int, metavar='PIXELS', help='side of the resized images (default: by task and size)'
    )
    own.add_argument(
        '--pretrained',
        metavar='WEIGHTS',
        help='backbone weights: a file, a URL, timm://NAME, or none (default: the released weights; with --size '
        "mini, all weights of the model that 'mmgcvit demo' trains)",
    )
    own.add_argument('--batch-size', type=int, metavar='N', help='images per iteration (default: by task and size)')
    own.add_argument('--lr', type=float, help='learning rate (default: by task, scaled to the batch size)')
    own.add_argument('--workers', type=int, metavar='N', help='processes that load data; 0: the main process')
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (bfloat16 if the GPU has it)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the effective batch size',
    )
    resume_or_overwrite = parser.add_mutually_exclusive_group()
    resume_or_overwrite.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from CHECKPOINT; if none is given, from the latest one in the work dir, if there is one',
    )
    resume_or_overwrite.add_argument(
        '--overwrite',
        action='store_true',
        help='start a new run; remove earlier checkpoints after its first iteration',
    )
    parser.add_argument(
        '--log-to',
        nargs='+',
        default=[],
        choices=('tensorboard', 'wandb'),
        help='also log to TensorBoard (view: tensorboard --logdir WORK_DIR) or your W&B account',
    )
    add_common_options(parser)


def check_args(args: argparse.Namespace) -> None:
    """Require a CONFIG or ``--data``, but not both. Reject options that do not fit the given one."""
    if (args.config is None) == (args.data is None):
        given = 'neither' if args.config is None else 'both'
        raise UserError(f'expected either a CONFIG or --data FOLDER, got {given}')
    given = list_data_options(args)
    if args.data is None and given:
        raise UserError(
            f'{" and ".join(given)} can only be used with --data. To change a CONFIG, edit it or use --cfg-options'
        )
    if args.data is not None and args.launcher != 'none':
        raise UserError(
            f"--data trains in one process. To use several GPUs: 'mmgcvit train --data {args.data}' writes a config "
            'and prints its path. Stop that command, then, for 8 GPUs, run: tools/dist_train.sh CONFIG 8'
        )
    check_at_least(args, epochs=1, image_size=32, batch_size=1, lr=0, workers=0)
    if args.config is not None and Path(args.config).is_dir():
        configs = sorted(Path(args.config).glob('*.py'))
        advice = f'To train on its data: mmgcvit train --data {args.config}'
        if configs:
            advice += f'. If it is the work dir of a run, resume the run: mmgcvit train {configs[0]} --resume'
        raise UserError(f'{args.config} is a folder. {advice}')


def list_data_options(args: argparse.Namespace) -> list[str]:
    """List the given options that require ``--data``."""
    return [format_option(name) for name in DATA_OPTIONS if getattr(args, name) is not None]


def format_option(name: str) -> str:
    return f'--{name.replace("_", "-")}'


def main(args: argparse.Namespace) -> None:
    check_args(args)
    if args.config is not None:
        check_config(args.config)
    is_resumed = args.data is not None and args.resume and get_run_config(args).is_file()
    dataset_info = None
    if args.data is not None and not is_resumed:
        from ..datasets.formats import read_folder

        dataset_info = read_folder(args.data)
    hide_gpus(args.device)
    from ..engine.setup import check_machine, leave_process_group_at_end
    from ..engine.train import train

    check_machine(args.device, args.launcher)
    if is_resumed:
        args.config, args.work_dir = find_resumed_config(args)
    elif dataset_info is not None:
        args.config, args.work_dir = write_config(args, dataset_info)
    with leave_process_group_at_end():
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


def get_run_config(args: argparse.Namespace) -> Path:
    """Return the path of the config that mmengine writes into the work dir of a run with ``--data``."""
    name, work_dir = get_name_and_work_dir(args.data, args.work_dir)
    return work_dir / f'{name}.py'


def find_resumed_config(args: argparse.Namespace) -> tuple[str, str]:
    """Return the config and the work dir of the run that ``--data FOLDER --resume`` resumes.

    With ``--epochs``, a config of this length is written.

    Raises:
        UserError: The run was started with other data or other options. Only ``--epochs`` may change.
    """
    from ..config import read_config
    from ..datasets.own_data import STARTED_WITH, extend_run

    config = get_run_config(args)
    work_dir, started_with = config.parent, read_config(config).get(STARTED_WITH) or {}
    data = work_dir / started_with.get('data', Path(args.data).expanduser().resolve())
    if Path(args.data).expanduser().resolve() != data.resolve():
        raise UserError(
            f'{work_dir} is the work dir of a run on {data.resolve()}, not on {args.data}. Set another --work-dir to '
            f'train on {args.data}'
        )
    given = {name: getattr(args, name) for name in DATA_OPTIONS if name != 'epochs' and getattr(args, name) is not None}
    changed = [format_option(name) for name, value in given.items() if value != started_with.get(name)]
    if changed:
        raise UserError(
            f'{" and ".join(changed)} cannot be changed when a run is resumed. To resume the run, remove '
            f'{" and ".join(changed)}. To start a new run, remove --resume and set another --work-dir'
        )
    print(f'{config} is resumed, with the images and annotations that were read when it was started')
    if args.epochs is not None:
        config, length = extend_run(config, args.epochs)
        print(f'the resumed training ends after {length}. Config: {config}')
    return str(config), str(work_dir)


def write_config(args: argparse.Namespace, dataset_info: DatasetInfo) -> tuple[str, str]:
    """Write the config for ``--data``. Return the config's path and the work dir."""
    from ..datasets.own_data import make_config
    from ..engine.resume import lock_work_dir

    work_dir = get_run_config(args).parent
    with lock_work_dir(work_dir, must_be_unused=not args.overwrite):
        config, summary = make_config(dataset_info, work_dir, **{name: getattr(args, name) for name in DATA_OPTIONS})
    print(summary)
    return str(config), str(work_dir)
