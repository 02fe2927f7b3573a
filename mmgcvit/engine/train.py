"""Apply the options of a training, check config, data and checkpoint, and train with mmengine's Runner."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import get_world_size
from mmengine.logging import print_log

from ..checkpoints.loading import check_fits
from ..checkpoints.safe_loading import safe_checkpoint_loading
from ..config import read_config
from ..datasets.checks import skip_unreadable
from ..datasets.checks.sources import get_check_settings
from ..errors import UserError
from ..mmengine_utils import call_on_rank_0
from ..ops.compiled import check_operators
from .hooks.new_schedule import NewScheduleHook
from .hooks.progress import open_progress
from .hooks.summary import SummaryHook
from .processes import join_processes
from .resume import OverwriteHook, choose_checkpoint, find_changes, lock, require_unused
from .setup import build_runner, check_data

REPLACED_TYPES = ('OptimWrapper', 'AmpOptimWrapper', 'mmgcvit.AutoPrecisionOptimWrapper')
# If one of these changes when a run is resumed, its LR schedule is recomputed.
SCHEDULE_SETTINGS = ('train_cfg.max_', 'param_scheduler')
# For each value of --log-to: mmengine's visualization backend, and the package that it needs.
TRACKERS = {
    'tensorboard': ('TensorboardVisBackend', 'tensorboard'),
    'wandb': ('WandbVisBackend', 'wandb'),
}


def train(
    cfg: Config,
    amp: bool = False,
    auto_scale_lr: bool = False,
    resume: str | None = None,
    overwrite: bool = False,
    log_to: Sequence[str] = (),
    progress: bool = False,
    trust_checkpoint: bool = False,
) -> None:
    """Train with a config from :func:`.setup.load_config`.

    Args:
        cfg: Config, which the options change in place.
        amp: Whether to train in mixed precision.
        auto_scale_lr: Whether to scale the learning rate from the config's batch size to the actual one.
        resume: Checkpoint to resume from, or ``'auto'`` for the latest in the work dir, if it has one.
        overwrite: Whether to remove an earlier run's checkpoints from the work dir, after the first iteration.
        log_to: Experiment trackers to log to, keys of :data:`TRACKERS`.
        progress: Whether to show progress bars and write the log to its file only.
        trust_checkpoint: Whether to unpickle the checkpoint, which can run code that it contains.

    Raises:
        UserError: An option, the config, the checkpoint or the data is invalid.
        SystemExit: The run was preempted (:class:`.hooks.preemption.PreemptionHook`).
    """
    if amp:
        enable_amp(cfg)
    if auto_scale_lr:
        enable_lr_scaling(cfg)
    add_trackers(cfg, log_to)
    check_operators(cfg)
    join_processes(cfg)
    choose_checkpoint(cfg, resume)
    if not overwrite and not (cfg.get('resume') and cfg.load_from):
        require_unused(cfg.work_dir)
    skip_unreadable(cfg, get_check_settings(cfg)['unreadable_images'])
    call_on_rank_0(check_data, cfg, ['train_dataloader', 'val_dataloader'])
    trusted = [cfg.load_from] if trust_checkpoint and cfg.get('load_from') else []
    with ExitStack() as stack:
        stack.enter_context(lock(cfg.work_dir))
        read = stack.enter_context(safe_checkpoint_loading(cfg.work_dir, trusted))
        runner = build_runner(cfg, stack.enter_context(open_progress(progress)))
        warn_of_batch_size(cfg)
        if cfg.get('load_from'):
            check_fits(runner.model, read(cfg.load_from), cfg.load_from, '' if cfg.get('resume') else 'backbone.')
        changes = call_on_rank_0(find_changes, cfg)
        if any(name.startswith(SCHEDULE_SETTINGS) for name in changes):
            runner.register_hook(NewScheduleHook(cfg.get('param_scheduler')))
        if overwrite:
            runner.register_hook(OverwriteHook())
        runner.register_hook(SummaryHook())
        runner.train()


def enable_amp(cfg: Config) -> None:
    """Enable mixed precision for ``--amp``."""
    if not torch.cuda.is_available():
        raise UserError('--amp needs a GPU. Remove the option')
    wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if wrapper not in REPLACED_TYPES:
        raise UserError(
            f'--amp only works with optim_wrapper.type={" or ".join(REPLACED_TYPES)}, and the config has {wrapper}. '
            'Remove the option'
        )
    cfg.optim_wrapper.type = 'mmgcvit.AutoPrecisionOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def enable_lr_scaling(cfg: Config) -> None:
    """Enable mmengine's LR scaling for ``--auto-scale-lr``."""
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise UserError(
            '--auto-scale-lr needs auto_scale_lr.base_batch_size in the config. Set it, or remove the option'
        )
    cfg.auto_scale_lr.enable = True


def add_trackers(cfg: Config, names: Sequence[str]) -> None:
    """Add mmengine's visualization backends for ``--log-to``."""
    missing = [TRACKERS[name][1] for name in names if find_spec(TRACKERS[name][1]) is None]
    if missing:
        raise UserError(f'--log-to: {" and ".join(missing)} is not installed. Run: pip install {" ".join(missing)}')
    if names:
        visualizer = cfg.setdefault('visualizer', ConfigDict(type='Visualizer'))
        backends = visualizer.get('vis_backends') or [ConfigDict(type='LocalVisBackend')]
        present = {backend['type'] for backend in backends}
        added = [TRACKERS[name][0] for name in names if TRACKERS[name][0] not in present]
        visualizer.vis_backends = [*backends, *(ConfigDict(type=backend) for backend in added)]


def warn_of_batch_size(cfg: Config) -> None:
    """Warn if the effective batch size is not the one that the config's learning rate is for."""
    warning = compare_batch_sizes(cfg, read_config(cfg.filename) if cfg.filename else cfg, get_world_size())
    if warning is not None:
        print_log(warning, 'current', logging.WARNING)


def compare_batch_sizes(cfg: Config, recipe: Config, world_size: int) -> str | None:
    """Return a warning if the effective batch size differs from that of ``recipe``, the config without options.

    That of the recipe is ``auto_scale_lr.base_batch_size`` times the accumulation steps: those of ``cfg`` if an option
    changes the base, else those of ``recipe``. Return None if the sizes are equal or unknown, or mmengine scales.
    """
    scaling = cfg.get('auto_scale_lr') or {}
    base, batch_size = scaling.get('base_batch_size'), (cfg.get('train_dataloader') or {}).get('batch_size')
    if scaling.get('enable') or base is None or batch_size is None:
        return None
    is_base_changed = base != (recipe.get('auto_scale_lr') or {}).get('base_batch_size')
    steps, recipe_steps = get_accumulation_steps(cfg), get_accumulation_steps(cfg if is_base_changed else recipe)
    if world_size * batch_size * steps == base * recipe_steps:
        return None
    return (
        f'The learning rate is for an effective batch size of {base * recipe_steps}; this run has '
        f'{world_size * batch_size * steps}: {world_size} processes x {batch_size} images x {steps} accumulation steps.'
        ' Add --auto-scale-lr, or change train_dataloader.batch_size or optim_wrapper.accumulative_counts'
    )


def get_accumulation_steps(cfg: Config) -> int:
    return (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
