"""Train a model: mmgcvit train CONFIG [options]."""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import (
    CONFIG_SUFFIXES,
    LOADERS,
    check_config,
    get_name_and_work_dir,
    is_config,
    read_config,
)
from ..errors import UserError, escape_controls, format_count, shorten
from ..tasks import MINI, SIZES
from .options import (
    AUGMENTATIONS,
    CONFIG,
    add_common_options,
    add_task,
    check_at_least,
    format_option,
    hide_gpus,
)

if TYPE_CHECKING:
    from ..datasets.records import DatasetInfo

DATA_OPTIONS = (
    *('task', 'size', 'epochs', 'image_size', 'pretrained', 'batch_size', 'lr', 'workers'),
    *('augment', 'no_flip', 'fine_tune', 'tiles'),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', nargs='?', metavar='CONFIG', help=CONFIG)
    own = parser.add_argument_group('train on your own data, without a CONFIG')
    text = 'data in COCO, YOLO or Pascal VOC format, class folders, or images with maps (work dir: work_dirs/FOLDER)'
    own.add_argument('--data', metavar='FOLDER', help=text)
    add_task(own)
    text = 'network size; xxtiny, xtiny and large are for classification only (default: tiny with a GPU, else mini)'
    own.add_argument('--size', choices=(MINI, *SIZES), help=text)
    own.add_argument(
        '--epochs', type=int, metavar='N', help='epochs (default: by the number of images)'
    )
    own.add_argument(
        '--image-size',
        type=int,
        metavar='PIXELS',
        help='side of the images (default: by task and size)',
    )
    text = 'train on random tiles of SIDE pixels (default: the image size); validate and predict in overlapping tiles'
    own.add_argument('--tiles', nargs='?', type=int, const=0, metavar='SIDE', help=text)
    text = 'backbone weights: a file, a URL, timm://NAME, or none (default: the released ones; for mini, our own)'
    own.add_argument('--pretrained', metavar='WEIGHTS', help=text)
    own.add_argument(
        '--batch-size',
        type=int,
        metavar='N',
        help='images per iteration (default: by task and size)',
    )
    own.add_argument(
        '--lr', type=float, help='learning rate (default: by task, scaled to the batch size)'
    )
    own.add_argument(
        '--workers', type=int, metavar='N', help='processes that load data; 0: the main process'
    )
    text = 'none, light (default: flips, random sizes, for segmentation colours) or strong (also rotations or erasing)'
    own.add_argument('--augment', choices=AUGMENTATIONS, help=text)
    own.add_argument(
        '--no-flip',
        action='store_true',
        default=None,
        help='never mirror images, for example of text',
    )
    text = 'what of the backbone is trained: all (default), low-rank updates of its attention, or nothing'
    own.add_argument('--fine-tune', choices=('all', 'lora', 'head'), help=text)
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision (bfloat16 if the GPU has it)'
    )
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the LR to the effective batch size'
    )
    parser.add_argument(
        '--patience', type=int, metavar='N', help='stop after N validations without a better score'
    )
    resume_or_overwrite = parser.add_mutually_exclusive_group()
    text = 'resume from CHECKPOINT; if none is given, from the latest one in the work dir, if there is one'
    resume_or_overwrite.add_argument(
        '--resume', nargs='?', const='auto', metavar='CHECKPOINT', help=text
    )
    text = 'start a new run; remove earlier checkpoints after its first iteration'
    resume_or_overwrite.add_argument('--overwrite', action='store_true', help=text)
    text = 'also log to TensorBoard (view: tensorboard --logdir WORK_DIR) or your W&B account'
    parser.add_argument(
        '--log-to', nargs='+', default=[], choices=('tensorboard', 'wandb'), help=text
    )
    add_common_options(parser)


def check_args(args: argparse.Namespace) -> None:
    """Require a CONFIG or ``--data``, but not both. Reject options that do not fit the given one."""
    if (args.config is None) == (args.data is None):
        given = 'neither' if args.config is None else 'both'
        raise UserError(f'expected either a CONFIG or --data FOLDER, got {given}')
    if args.data is None and (options := ' and '.join(map(format_option, list_data_options(args)))):
        raise UserError(
            f'{options} can only be used with --data. To change a CONFIG, edit it or use '
            '--cfg-options'
        )
    if args.data is not None and args.launcher != 'none':
        advice = 'For 8 GPUs, stop it once it has printed its config, and run: tools/dist_train.sh CONFIG 8'
        raise UserError(f'--data trains in one process, without --launcher. {advice}')
    if args.tiles:  # 0 stands for the image size
        check_at_least(args, tiles=32)
    check_at_least(args, epochs=1, patience=1, image_size=32, batch_size=1, lr=0, workers=0)
    path = Path(args.config or args.data)
    describes_data = path.is_file() and path.suffix in CONFIG_SUFFIXES and not is_config(path)
    if args.config is not None and (path.is_dir() or describes_data):
        advice = f'To train on its data: mmgcvit train --data {path}'
        if configs := sorted(path.glob('*.py')):
            advice += f'. If it is the work dir of a run, resume the run: mmgcvit train {configs[0]} --resume'
        raise UserError(f'{path} is {"a folder" if path.is_dir() else "not a config"}. {advice}')


def list_data_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the given options that require ``--data``."""
    return {name: getattr(args, name) for name in DATA_OPTIONS if getattr(args, name) is not None}


def main(args: argparse.Namespace) -> None:
    check_args(args)
    if args.config is not None and args.launcher == 'none':
        check_config(args.config)
    config, work_dir, dataset_info = args.config, args.work_dir, None
    if args.data is not None:
        from ..datasets.formats import find_folder, read_folder

        data, args.data = args.data, str(find_folder(args.data))
        run_config = get_run_config(args)
        work_dir = str(run_config.parent)
        if not args.resume or not run_config.is_file():
            dataset_info = read_folder(data, args.task)
    hide_gpus(args.device)
    from ..engine.setup import check_machine, join_process_group, load_config, run_rank
    from ..engine.train import train
    from ..engine.work_dir import lock_work_dir
    from ..mmengine_utils import call_on_rank_0

    with run_rank(args.launcher, args.local_rank), ExitStack() as stack:
        check_machine(args.device, args.launcher)
        if args.data is not None:
            stack.enter_context(lock_work_dir(work_dir))
            config = write_config(args, dataset_info) if dataset_info else find_resumed_config(args)
        cfg_options = args.cfg_options or []
        if args.workers is not None and not dataset_info:
            cfg_options = [
                *(f'{loader}.num_workers={args.workers}' for loader in LOADERS),
                *cfg_options,
            ]
        cfg = load_config(str(config), cfg_options, work_dir, args.launcher)
        join_process_group(cfg)
        if args.data is None:
            call_on_rank_0(stack.enter_context, lock_work_dir(cfg.work_dir))
        if args.progress is None:
            args.progress = args.data is not None and sys.stdout.isatty()
        names = ('amp', 'auto_scale_lr', 'resume', 'overwrite', 'log_to', 'progress', 'patience')
        train(cfg, **{name: getattr(args, name) for name in names})
    if args.data is not None:
        from ..evaluation.mistakes import judge_run

        try:
            message = judge_run(Path(work_dir))
        except (
            UserError,
            OSError,
        ) as error:  # an image may have been removed; the training is complete
            message = f'the model is not judged: {error}'
        print(escape_controls(message))


def get_run_config(args: argparse.Namespace) -> Path:
    """Return the path of the config that mmengine writes into the work dir of a run with
    ``--data``.
    """
    name, work_dir = get_name_and_work_dir(args.data, args.work_dir)
    return work_dir / f'{name}.py'


def find_resumed_config(args: argparse.Namespace) -> Path:
    """Return the config of the run that ``--data --resume`` resumes, or a longer one.

    Reject other data and options.
    """
    from ..datasets.own_data import STARTED_WITH, extend_run, find_newer_files

    config, data = get_run_config(args), Path(args.data).expanduser().resolve()
    started_with = read_config(config).get(STARTED_WITH) or {}
    started_data = (config.parent / started_with.get('data', data)).resolve()
    if data != started_data:
        problem = f'{config.parent} is the work dir of a run on {started_data}, not on {args.data}'
        raise UserError(f'{problem}. Set another --work-dir to train on {args.data}')
    given = list_data_options(args)
    if given.get('tiles') == 0 and started_with.get('tiles'):
        given['tiles'] = started_with['image_size']
    changed = [name for name, value in given.items() if value != started_with.get(name)]
    options = ' and '.join(
        format_option(name) for name in changed if name not in ('epochs', 'workers')
    )
    if options:
        raise UserError(
            f'{options} cannot be changed when a run is resumed. Remove it or start a new run '
            '(--work-dir)'
        )
    print(
        f'{config} is resumed, with the images and annotations that were read when it was started'
    )
    if newer := find_newer_files(data, config):
        changed = f'{format_count(len(newer), "file")} of {args.data} are newer ({shorten(newer)})'
        print(
            f'{changed}: images and maps are as now, annotations as they were. To read all anew: '
            '--overwrite'
        )
    if args.epochs is not None:
        config, length = extend_run(config, args.epochs)
        print(f'the resumed training ends after {length}. Config: {config}')
    return config


def write_config(args: argparse.Namespace, dataset_info: DatasetInfo) -> Path:
    """Write the config for ``--data`` into the work dir. Return its path."""
    from ..datasets.own_data import make_config
    from ..engine.work_dir import check_unused

    work_dir = get_run_config(args).parent
    if not args.overwrite:
        check_unused(work_dir)
    config, summary = make_config(dataset_info, work_dir, **list_data_options(args))
    print(escape_controls(summary))
    return config
