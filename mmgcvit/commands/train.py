"""Train a model of any task: mmgcvit train CONFIG [options]."""

import argparse

from .options import CONFIG, add_common_options, config_of_run
from .screen import add_progress_option, open_screen

# What is said of a full disk, behind the system's words.
FULL_DISK = (
    ': the run could not write, and has ended (work dir {work_dir}). Make room, then call it again; training goes on '
    'from its latest checkpoint with --resume'
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model of any task.')
    parser.add_argument('config', help=CONFIG)
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
        help='go on from a checkpoint, or without a name from the newest whole one in the work dir',
    )
    beginning.add_argument(
        '--overwrite',
        action='store_true',
        help="begin anew in a work dir with an earlier run's checkpoints; they go once the run has saved its first",
    )
    add_progress_option(parser)
    parser.add_argument(
        '--log-to',
        nargs='+',
        default=[],
        choices=('tensorboard', 'wandb'),
        help='show losses and scores in these programs too: tensorboard --logdir WORK_DIR, or your W&B account',
    )
    add_common_options(parser)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    from ..engine import training
    from ..engine.processes import leaving_processes
    from ..engine.starting import look_at_machine

    look_at_machine('train', args.device, args.launcher)
    cfg = config_of_run(args)
    training.prepare(cfg, args.amp, args.auto_scale_lr, args.overwrite, args.log_to)
    with leaving_processes(), open_screen(cfg, args.progress) as watch:
        training.run(cfg, args.config, args.resume, args.trust_checkpoint, watch)
