"""Train a model: mmgcvit train CONFIG [options]."""

import os
import shlex
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MisfitError, UserError, escape_controls, format_count
from ..host.config import (
    LOADERS,
    TRACKERS,
    can_draw_predictions,
    check_config,
    locate_config,
    read_config,
)
from ..host.files import make_portable_path
from ..own.runs.made import NUM_UNCORRECTED, START, choose_work_dir, get_started_with
from ..own.training.options import OPTIONS, Options, format_option, make_options
from ..runs.folder import RunFolder
from .options import (
    CONFIG,
    add_common_options,
    add_data_option,
    add_integer,
    check_at_least,
    check_overridden,
    hide_gpus,
)

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..own.data.records import DatasetInfo

START_ADVICE = (
    '--start takes all weights of a model of the same network: set --task and --size to those that '
    'it was trained with, or take only its backbone: --pretrained'
)
EXAMPLE = 'mmgcvit train --data photos --epochs 40'
PAGE = 'docs/custom_dataset.md'  # explains the command


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument('config', nargs='?', type=locate_config, metavar='CONFIG', help=CONFIG)
    own_data = parser.add_argument_group('train on your own data, without a CONFIG')
    own_data.add_argument(
        '--data',
        action='append',
        metavar='FOLDER',
        help='data in COCO, YOLO or Pascal VOC format, class folders, or images with maps (work '
        'dir: work_dirs/FOLDER); can be repeated: the folders are united',
    )
    for name in OPTIONS:
        add_data_option(own_data, name)
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
    given = read_data_options(args)
    if args.data is None:
        options = ' and '.join(map(format_option, given.list_given()))
        if options:
            raise UserError(
                f'{options} can only be used with --data. To change a CONFIG, edit it or use '
                '--cfg-options'
            )
    elif args.launcher != 'none':
        raise UserError(
            '--data trains in one process. For 8 GPUs, start it without --launcher, stop it once '
            'it has printed its config, and run: tools/dist_train.sh CONFIG 8'
        )
    check_at_least(args, patience=1)
    replaced = {'launcher': 'Use --launcher'}
    if args.data or args.work_dir:
        replaced['work_dir'] = 'Use --work-dir'
    if args.data:
        replaced['resume'] = 'Use --resume'
    check_overridden(args, **replaced)
    hide_gpus(args.device)
    if args.data is None:
        train_config(args)
    else:
        train_folder(args, given)


def read_data_options(args: Namespace) -> Options:
    """Return the options that require ``--data``. Raise a UserError for an invalid value."""
    return make_options(**{name: getattr(args, name) for name in OPTIONS})


def train_config(args: Namespace) -> None:
    """Train with a CONFIG."""
    if args.launcher == 'none':
        try:
            check_config(args.config)
        except UserError as error:
            raise UserError(
                f'{error}. To train on a folder of pictures: mmgcvit train --data FOLDER'
            ) from None
    from ..engine.ranks import join_process_group, run_rank
    from ..engine.setup import check_machine
    from ..host.runners import call_on_rank_0, get_timeout
    from ..own.runs.run_data import locate_data
    from .configs import apply_options

    with run_rank(args.launcher, args.local_rank), ExitStack() as stack:
        check_machine(args.device, args.launcher)
        recipe = locate_data(read_config(args.config), Path(args.config))
        cfg = apply_options(recipe, args.cfg_options, args.work_dir, args.launcher)
        join_process_group(cfg)
        # Rank 0 locks for all; the stack unlocks.
        lock = RunFolder(Path(cfg.work_dir)).lock()
        call_on_rank_0(stack.enter_context, lock, timeout=get_timeout(cfg))
        run_training(cfg, recipe, args, args.progress)


def train_folder(args: Namespace, given: Options) -> None:
    """Train on the data of folders, and say how good the model is."""
    from ..own.data.folders import find_folder
    from ..own.data.formats import read_folders

    data = [find_folder(folder) for folder in args.data]
    run = RunFolder(choose_work_dir(data, args.work_dir))
    is_resumed = bool(args.resume) and run.is_started()
    is_in_data = any(run.path.resolve() == folder.resolve() for folder in data)
    if is_in_data and not is_resumed:
        raise UserError(
            f'--work-dir {run.path} is the folder of the data, in which the files of the run would '
            'be read as data. Choose another one'
        )
    dataset = None  # a resumed run has its own annotations
    if not is_resumed:
        dataset = read_folders(
            data,
            given.task,
            pseudo_labels=bool(given.pseudo_labels),
            similar_classes=given.similar_classes,
        )
    # Imported after the data is read, because they import torch, which takes seconds.
    from ..engine.setup import check_machine
    from ..own.judging.run_score import judge_run
    from .configs import apply_options

    check_machine(args.device)
    with run.lock():
        if dataset is None:
            recipe = resume_run(run, data, given, args.resume)
        else:
            recipe = start_run(run, data, dataset, given, overwrite=args.overwrite)
        cfg = apply_options(recipe, list_cfg_options(args, given, is_resumed), run.path)
        is_shown = sys.stdout.isatty() if args.progress is None else args.progress
        run_training(cfg, recipe, args, is_shown)
    try:
        # Anew, because the run may have replaced another config.
        message = judge_run(RunFolder(run.path), cfg)
    # The training is complete. A missing image must not make it fail.
    except (UserError, OSError) as error:
        message = f'the model is not judged: {error}'
    print(escape_controls(message))


def list_cfg_options(args: Namespace, given: Options, is_resumed: bool) -> list[str]:
    """Return the settings of the config that options change.

    The config that a resumed run has written does not follow from its head any more.
    """
    settings = args.cfg_options or []
    if is_resumed and given.workers is not None:
        return [*(f'{loader}.num_workers={given.workers}' for loader in LOADERS), *settings]
    return settings


def run_training(cfg: 'Config', recipe: 'Config', args: Namespace, progress: bool) -> None:
    """Train in a locked work dir. ``recipe`` is the config without the user's options.

    Print the commands that come next. What :mod:`mmgcvit.own.training` has noted in a config about
    the start of a run also holds for those that resume it. Raise a MisfitError, which names the
    options to change, if ``--start`` is another model.
    """
    from ..checkpoints.licences import LIMIT
    from ..engine.train import train

    started_with = get_started_with(cfg)
    num_uncorrected = started_with.get(NUM_UNCORRECTED)
    is_rank_0 = os.environ.get('RANK', '0') == '0'
    if num_uncorrected and is_rank_0:
        images = format_count(num_uncorrected, 'training image')
        print(f'{images} with labels that a model made and nobody has corrected (--pseudo-labels)')
    limit = started_with.get(LIMIT)
    try:
        train(
            cfg,
            amp=args.amp,
            auto_scale_lr=args.auto_scale_lr,
            resume=args.resume,
            overwrite=args.overwrite,
            log_to=args.log_to,
            progress=progress,
            patience=args.patience,
            recipe=recipe,
            same_model=bool(started_with.get(START)),
            meta={LIMIT: limit} if limit else {},
        )
    except MisfitError as error:
        if not started_with.get(START):
            raise
        raise MisfitError(f'{error}. {START_ADVICE}') from error
    except KeyboardInterrupt:
        if is_rank_0:
            print('to continue: the same command with --resume (without --overwrite)')
        raise
    commands = list_next_commands(cfg)
    if commands and is_rank_0:
        print('next:', *commands, sep='\n  mmgcvit ')


def list_next_commands(cfg: 'Config') -> list[str]:
    """Return the commands for a model that has been trained with a config."""
    folder = shlex.quote(make_portable_path(cfg.work_dir))
    is_validated = cfg.get('val_cfg') is not None
    if not can_draw_predictions(cfg):
        return [f'test {folder}'] if is_validated else []
    commands = [f'predict {folder} YOUR_PICTURES']
    if is_validated:
        commands.append(f'mistakes {folder}')
    return [*commands, f'plot {folder}', f'publish {folder}', f'export {folder} model.onnx']


def start_run(
    run: RunFolder,
    data: Sequence[Path],
    dataset: 'DatasetInfo',
    given: Options,
    *,
    overwrite: bool,
) -> 'Config':
    """Write and return the config of a new run on a dataset, which is in the folders ``data``.

    Raise a UserError if the work dir has an earlier run, and with ``overwrite`` if that is on other
    data.
    """
    from ..own.runs.run_data import locate_data
    from ..own.training.config import make_config
    from ..own.training.resuming import check_same_data

    if not overwrite:
        run.check_unused()
    elif run.is_started():
        check_same_data(run, data)
    file, summary = make_config(dataset, run.path, **given.list_given())
    print(escape_controls(f'{summary}\nconfig: {file}'))
    return locate_data(read_config(file), file, data)


def resume_run(run: RunFolder, data: Sequence[Path], given: Options, source: str) -> 'Config':
    """Return the config of the run that ``--data --resume SOURCE`` resumes, or a longer one.

    Reject other data and options.
    """
    from ..own.runs.run_data import locate_data
    from ..own.training.resuming import (
        check_same_data,
        check_same_options,
        describe_newer_files,
        extend_run,
        read_length,
    )

    check_same_data(run, data)
    check_same_options(run, given)
    cfg = locate_data(run.config, run.config_file, data)
    print(
        f'{run.config_file} is resumed, with the list of images and the annotations from its start'
    )
    for line in describe_newer_files(cfg):
        print(escape_controls(f'{line}. To read all anew: --overwrite'))
    if not given.epochs:
        return cfg
    extended = extend_run(run, cfg, given.epochs, read_length(run, source))
    file = make_portable_path(extended.cfg.filename)
    print(f'the resumed training ends after {extended.length}. Config: {file}')
    return extended.cfg
