"""Train a model of any task: mmgcvit train CONFIG [options]."""

import argparse
import logging
from collections.abc import Sequence
from copy import deepcopy
from importlib.util import find_spec

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmengine.registry import MODELS, RUNNERS
from mmengine.runner import FlexibleRunner, Runner
from torch import nn

from ..checkpoints import DamagedCheckpointError
from ..checkpoints.for_hosts import register_reader
from ..checkpoints.loading import check_fits
from ..checkpoints.run_folder import resume, with_whole_one_beside
from ..datasets.checks import settings_of, skip_damaged
from ..engine.batch import other_batch_size
from ..engine.early_end import resume_when_warned
from ..engine.exact_resume import ResumeCheckHook
from ..engine.processes import check_sharding, leaving_processes, prepare_processes
from ..errors import UserError
from ..hosts.configs import read_config
from ..hosts.operators import check_operators
from .check_data import check_data
from .launcher import check_shared_folders
from .options import CONFIG, add_common_options, load_config, look_at_machine, make_work_dir
from .screen import Watch, add_progress_option, open_screen

AMP_REPLACES = ('OptimWrapper', 'AmpOptimWrapper', 'mmgcvit.AutoPrecisionOptimWrapper')
# What one types, mmengine's backend for it, and the package that this needs.
TRACKERS = {
    'tensorboard': ('TensorboardVisBackend', 'tensorboard'),
    'wandb': ('WandbVisBackend', 'wandb'),
}
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
        choices=TRACKERS,
        help='show losses and scores in these programs too: tensorboard --logdir WORK_DIR, or your W&B account',
    )
    add_common_options(parser)
    return parser.parse_args()


def main(args: argparse.Namespace) -> None:
    cfg = prepare(args)
    with leaving_processes(), open_screen(cfg, args.progress) as watch:
        try:
            check(cfg, args)
            build(cfg, args, watch).train()
        except DamagedCheckpointError as error:
            raise UserError(with_whole_one_beside(error, cfg.get('load_from') or '')) from None


def prepare(args: argparse.Namespace) -> Config:
    """The config with what the options ask for; its processes have found each other."""
    look_at_machine('train', args.device)
    cfg = load_config(args)
    resume_when_warned()
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        scale_learning_rate(cfg)
    if args.overwrite:
        allow_overwriting(cfg)
    if args.log_to:
        log_to(cfg, args.log_to)
    check_sharding(cfg)
    check_operators(cfg)
    skip_damaged(cfg, settings_of(cfg).damaged_images)
    prepare_processes(cfg)
    return cfg


def check(cfg: Config, args: argparse.Namespace) -> None:
    """Look at data, work dir and checkpoint before anything is built."""
    check_data(cfg, ['train_dataloader', 'val_dataloader'])
    make_work_dir(cfg.work_dir)
    if args.resume is not None:
        resume(cfg, args.resume)
    register_reader(cfg.work_dir, trusted=[cfg.get('load_from')] if args.trust_checkpoint else [])


def build(cfg: Config, args: argparse.Namespace, watch: Watch) -> Runner | FlexibleRunner:
    """The runner with the model, and a look at what can be seen only now.

    The hooks that the config names do the rest: engine/finite.py leaves out steps that are not finite,
    engine/saving.py writes checkpoints, engine/early_end.py answers a scheduler's warning.
    """
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    watch(runner)
    check_shared_folders(cfg, ['val_evaluator'])
    warning = other_batch_size(cfg, read_config(args.config), get_world_size())
    if warning is not None:
        print_log(warning, 'current', logging.WARNING)
    if cfg.get('load_from'):
        # mmengine's FlexibleRunner builds its own model only when training starts.
        model = runner.model if isinstance(runner.model, nn.Module) else MODELS.build(deepcopy(runner.model))
        check_fits(model, cfg.load_from, '' if cfg.get('resume') else 'backbone.', trust=args.trust_checkpoint)
        if cfg.get('resume'):
            runner.register_hook(ResumeCheckHook(cfg.load_from))
    return runner


def enable_amp(cfg: Config) -> None:
    """Turn mixed precision on, for ``--amp``."""
    if not torch.cuda.is_available():
        raise UserError('--amp: mixed-precision training needs a GPU, and there is none here; leave the option out')
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in AMP_REPLACES:
        raise UserError(f'--amp: the config has optim_wrapper.type={kind}; only {", ".join(AMP_REPLACES)} are replaced')
    cfg.optim_wrapper.type = 'mmgcvit.AutoPrecisionOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def scale_learning_rate(cfg: Config) -> None:
    """Turn on mmengine's scaling, for ``--auto-scale-lr``."""
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise UserError('--auto-scale-lr: the config does not say auto_scale_lr.base_batch_size')
    cfg.auto_scale_lr.enable = True


def allow_overwriting(cfg: Config) -> None:
    """Have the checkpoint hook begin a run in an earlier one's folder, for ``--overwrite``."""
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    if not str(hook.get('type')).endswith('WholeCheckpointHook'):
        raise UserError(
            f"--overwrite: the config's default_hooks.checkpoint is {hook.get('type')}, which overwrites without being "
            'asked; leave the option out, or take mmgcvit.WholeCheckpointHook'
        )
    hook.overwrite = True


def log_to(cfg: Config, trackers: Sequence[str]) -> None:
    """Add the backends of ``trackers`` to those of a config's visualizer, for ``--log-to``."""
    missing = [TRACKERS[name][1] for name in trackers if find_spec(TRACKERS[name][1]) is None]
    if missing:
        raise UserError(f'--log-to: {" and ".join(missing)} not installed: pip install {" ".join(missing)}')
    visualizer = cfg.setdefault('visualizer', ConfigDict(type='Visualizer'))
    backends = visualizer.get('vis_backends') or [ConfigDict(type='LocalVisBackend')]
    present = {backend['type'] for backend in backends}
    added = [TRACKERS[name][0] for name in trackers if TRACKERS[name][0] not in present]
    visualizer.vis_backends = [*backends, *(ConfigDict(type=backend) for backend in added)]
