"""Train a model: mmgcvit train CONFIG [options]."""

import sys
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import (
    LOADERS,
    STARTED_WITH,
    TRACKERS,
    check_config,
    get_name_and_work_dir,
    locate_config,
    read_config,
)
from ..errors import UserError, escape_controls, format_count, shorten
from ..files import find_folder
from ..tasks import COSTS
from .options import (
    AUGMENTATIONS,
    CONFIG,
    TASK,
    add_common_options,
    add_integer,
    check_at_least,
    format_option,
    hide_gpus,
)

if TYPE_CHECKING:
    from mmengine.config import Config

# The options that require --data.
DATA_OPTIONS = {
    'task': TASK,
    'size': {
        'choices': COSTS,
        'help': 'network size; xxtiny, xtiny and large are for classification only (default: tiny '
        'with a GPU, else mini)',
    },
    'epochs': {'type': int, 'help': 'epochs (default: by the number of images)'},
    'image_size': {'type': int, 'help': 'side of the images in pixels (default: by task and size)'},
    'tiles': {
        'type': int,
        'nargs': '?',
        'const': 0,
        'metavar': 'SIDE',
        'help': 'train on random tiles of SIDE pixels (without SIDE: by the sizes of objects); '
        'validate and predict in overlapping tiles',
    },
    'pretrained': {
        'metavar': 'WEIGHTS',
        'help': 'backbone weights: a file, a URL, timm://NAME, or none (default: the released '
        'ones; for mini, our own)',
    },
    'batch_size': {'type': int, 'help': 'images per iteration (default: by task and size)'},
    'lr': {'type': float, 'help': 'learning rate (default: by task and batch size)'},
    'workers': {'type': int, 'help': 'processes that load data; 0: the main process'},
    'augment': {
        'choices': AUGMENTATIONS,
        'help': 'none, light (default: flips, random sizes and, for segmentation, random colours) '
        'or strong (also rotations or erasing)',
    },
    'no_flip': {
        'action': 'store_true',
        'default': None,
        'help': 'never mirror images, for example of text',
    },
    'fine_tune': {
        'choices': ('all', 'head'),
        'help': 'what is trained: all (default), or all but the backbone',
    },
}


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument('config', nargs='?', type=locate_config, metavar='CONFIG', help=CONFIG)
    own_data = parser.add_argument_group('train on your own data, without a CONFIG')
    own_data.add_argument(
        '--data',
        metavar='FOLDER',
        help='data in COCO, YOLO or Pascal VOC format, class folders, or images with maps (work '
        'dir: work_dirs/FOLDER)',
    )
    for name, settings in DATA_OPTIONS.items():
        own_data.add_argument(format_option(name), **settings)
    add_common_options(parser)
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision (bfloat16 if the GPU has it)'
    )
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the LR to the effective batch size'
    )
    add_integer(parser, '--patience', 'stop after N validations without a better score')
    parser.add_argument(
        '--log-to',
        nargs='+',
        default=[],
        choices=TRACKERS,
        help='also log to these programs, for example tensorboard (view: tensorboard --logdir '
        'WORK_DIR)',
    )
    resume_or_overwrite = parser.add_mutually_exclusive_group()
    resume_or_overwrite.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='resume from CHECKPOINT; if none is given, from the latest one in the work dir, if '
        'there is one',
    )
    resume_or_overwrite.add_argument(
        '--overwrite',
        action='store_true',
        help='start a new run; remove earlier checkpoints after its first iteration',
    )


def main(args: Namespace) -> None:
    """Train with a CONFIG or on ``--data``, but not both. Reject options that do not fit it."""
    if (args.config is None) == (args.data is None):
        raise UserError('expected either a CONFIG or --data FOLDER, and not both')
    if args.data is None:
        options = ' and '.join(map(format_option, list_data_options(args)))
        if options:
            raise UserError(
                f'{options} can only be used with --data. To change a CONFIG, edit it or use '
                '--cfg-options'
            )
    elif args.launcher != 'none':
        raise UserError(
            '--data trains in one process. For 8 GPUs, start it without --launcher, stop it once it '
            'has printed its config, and run: tools/dist_train.sh CONFIG 8'
        )
    if args.tiles:  # 0 stands for the side that follows from the objects
        check_at_least(args, tiles=32)
    check_at_least(args, epochs=1, patience=1, image_size=32, batch_size=1, lr=0, workers=0)
    hide_gpus(args.device)
    if args.data is None:
        train_config(args)
    else:
        train_folder(args)


def list_data_options(args: Namespace) -> dict:
    """Return the given options that require ``--data``."""
    return {name: getattr(args, name) for name in DATA_OPTIONS if getattr(args, name) is not None}


def train_config(args: Namespace) -> None:
    """Train with a CONFIG."""
    if args.launcher == 'none':
        check_config(args.config)
    from ..engine.setup import check_machine, join_process_group, load_config, run_rank
    from ..engine.work_dir import lock_work_dir
    from ..mmengine_utils import call_on_rank_0, get_timeout

    with run_rank(args.launcher, args.local_rank), ExitStack() as stack:
        check_machine(args.device, args.launcher)
        cfg = load_config(args.config, args.cfg_options, args.work_dir, args.launcher)
        join_process_group(cfg)
        # Rank 0 locks for all; the stack unlocks.
        lock = lock_work_dir(Path(cfg.work_dir))
        call_on_rank_0(stack.enter_context, lock, timeout=get_timeout(cfg))
        run(cfg, args)


def train_folder(args: Namespace) -> None:
    """Train on the data of a folder, and say how good the model is."""
    from ..datasets.formats import read_folder

    args.data = find_folder(args.data)
    name, work_dir = get_name_and_work_dir(args.data, args.work_dir)
    config = work_dir / f'{name}.py'  # which mmengine writes when a run starts
    is_resumed = args.resume and config.is_file()
    dataset = None if is_resumed else read_folder(args.data, args.task)
    # Imported after the data is read, because they import torch, which takes seconds.
    from ..datasets.own_data import make_config
    from ..engine.setup import check_machine, load_config
    from ..engine.work_dir import check_unused, lock_work_dir
    from ..evaluation.run_score import judge_run

    if args.progress is None:
        args.progress = sys.stdout.isatty()
    check_machine(args.device)
    with lock_work_dir(work_dir):
        cfg_options = args.cfg_options or []
        if is_resumed:
            config = find_resumed_config(args, config)
            if args.workers is not None:
                workers = [f'{loader}.num_workers={args.workers}' for loader in LOADERS]
                cfg_options = workers + cfg_options
        else:
            if not args.overwrite:
                check_unused(work_dir)
            config, summary = make_config(dataset, work_dir, **list_data_options(args))
            print(escape_controls(f'{summary}\nconfig: {config}'))
        run(load_config(config, cfg_options, work_dir), args)
    try:
        message = judge_run(work_dir)
    # The training is complete. A missing image must not make it fail.
    except (UserError, OSError) as error:
        message = f'the model is not judged: {error}'
    print(escape_controls(message))


def run(cfg: 'Config', args: Namespace) -> None:
    """Train in a locked work dir."""
    from ..engine.train import train

    train(
        cfg,
        amp=args.amp,
        auto_scale_lr=args.auto_scale_lr,
        resume=args.resume,
        overwrite=args.overwrite,
        log_to=args.log_to,
        progress=args.progress,
        patience=args.patience,
    )


def find_resumed_config(args: Namespace, config: Path) -> Path:
    """Return the config of the run that ``--data --resume`` resumes, or a longer one.

    ``config`` is the one in the run's work dir. Reject other data and options.
    """
    from ..checkpoints.safe_loading import read_latest_checkpoint
    from ..datasets.resuming import extend_run, find_newer_files

    data = Path(args.data).resolve()
    started_with = read_config(config).get(STARTED_WITH) or {}
    started_data = (config.parent / started_with.get('data', data)).resolve()
    if data != started_data:
        raise UserError(
            f'{config.parent} is the work dir of a run on {started_data}, not on {args.data}. Set '
            f'another --work-dir to train on {args.data}'
        )
    check_same_options(list_data_options(args), started_with)
    print(f'{config} is resumed, with the list of images and the annotations from its start')
    newer = find_newer_files(data, config)
    if newer:
        print(
            f'{format_count(len(newer), "file")} of {args.data} are newer ({shorten(newer)}): '
            'images and maps are as now, annotations as they were. To read all anew: --overwrite'
        )
    if args.epochs:
        latest = read_latest_checkpoint(config.parent)
        meta = latest.content['meta'] if latest else {}
        done = {'max_epochs': meta.get('epoch', 0), 'max_iters': meta.get('iter', 0)}
        config, length = extend_run(config, args.epochs, done)
        print(f'the resumed training ends after {length}. Config: {config}')
    return config


def check_same_options(given: dict, started_with: dict) -> None:
    """Raise a UserError if options differ from those of the run's start, but for its length."""
    if given.get('tiles') == 0 and started_with.get('tiles'):
        given['tiles'] = started_with['tiles']
    changed = []
    for name, value in given.items():
        if name not in ('epochs', 'workers') and value != started_with.get(name):
            changed.append(format_option(name))
    if changed:
        raise UserError(
            f'{" and ".join(changed)} cannot be changed when a run is resumed. Leave it out, or '
            'start a new run (--work-dir)'
        )
