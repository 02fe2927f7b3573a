"""Apply the options of ``mmgcvit train``, check the data and the checkpoint, and train with mmengine's Runner."""

import logging
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import get_world_size
from mmengine.logging import print_log

from ..checkpoints.pretrained import check_fits
from ..checkpoints.safe_loading import safe_checkpoint_loading
from ..config import read_config
from ..datasets.checks.paths import get_check_settings
from ..datasets.skip_unreadable import skip_unreadable
from ..errors import UserError
from ..mmengine_utils import call_on_rank_0
from ..ops.compiled import check_operators
from .hooks.new_schedule import NewScheduleHook
from .hooks.patience import PatienceHook
from .hooks.progress import SummaryHook, open_progress
from .setup import build_runner, check_data, join_process_group
from .work_dir import OverwriteHook, find_changes, lock_work_dir, read_chosen_checkpoint

# --amp replaces these types of optimizer wrappers. Other types in a config raise an error.
WRAPPERS_FOR_AMP = ('OptimWrapper', 'AmpOptimWrapper', 'mmgcvit.AutoPrecisionOptimWrapper')
# If a setting with such a prefix differs from the resumed run's, NewScheduleHook recomputes the LR schedule.
SCHEDULE_SETTINGS = ('train_cfg.max_', 'param_scheduler', 'optim_wrapper.optimizer.lr', 'auto_scale_lr')
# Values of --log-to, each with mmengine's visualization backend and the package that the backend needs.
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
    patience: int | None = None,
) -> None:
    """Train with a config from :func:`.setup.load_config`.

    Args:
        cfg: Config. The other arguments change it in place.
        amp: Whether to train in mixed precision.
        auto_scale_lr: Whether to scale the learning rate from the config's batch size to the actual one.
        resume: Path or URL of the checkpoint to resume from. ``'auto'`` means the work dir's latest, if it has any.
        overwrite: Whether to remove an earlier run's checkpoints from the work dir after the first iteration.
        log_to: Experiment trackers to log to: keys of :data:`TRACKERS`.
        progress: Whether to show progress bars in the terminal. The log is then written to its file only.
        patience: Number of validations without a better score after which training stops. Default: never.

    Raises:
        UserError: An option, the config, the checkpoint or the data is invalid.
    """
    if amp:
        enable_amp(cfg)
    if auto_scale_lr:
        enable_lr_scaling(cfg)
    add_trackers(cfg, log_to)
    check_operators(cfg)
    join_process_group(cfg)
    with ExitStack() as stack:
        is_new = resume is None and not cfg.get('resume')
        call_on_rank_0(stack.enter_context, lock_work_dir(cfg.work_dir, must_be_unused=is_new and not overwrite))
        contents = stack.enter_context(safe_checkpoint_loading(cfg.work_dir))
        cfg.resume, cfg.load_from, content = call_on_rank_0(read_chosen_checkpoint, cfg, resume, overwrite)
        skip_unreadable(cfg, get_check_settings(cfg)['unreadable_images'])
        call_on_rank_0(check_data, cfg, ['train_dataloader', 'val_dataloader'])
        runner = build_runner(cfg, stack.enter_context(open_progress(progress)))
        warn_of_batch_size(cfg, read_config(cfg.filename) if cfg.filename else cfg, get_world_size())
        if cfg.load_from:
            contents[cfg.load_from] = content
            check_fits(runner.model, content, cfg.load_from, '' if cfg.resume else 'backbone.')
        if cfg.resume:
            changes = call_on_rank_0(find_changes, cfg, content['meta'])
            is_changed = any(name.startswith(SCHEDULE_SETTINGS) for name in changes)
            runner.register_hook(NewScheduleHook(cfg.get('param_scheduler'), is_changed))
        else:
            runner.register_hook(OverwriteHook())
        del content  # mmengine frees it after loading
        runner.register_hook(SummaryHook())
        if patience is not None:
            runner.register_hook(PatienceHook(patience))
        runner.train()


def enable_amp(cfg: Config) -> None:
    """For ``--amp``, enable mixed precision."""
    if not torch.cuda.is_available():
        raise UserError('--amp needs a GPU, and torch finds none. Remove --amp')
    wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if wrapper not in WRAPPERS_FOR_AMP:
        raise UserError(
            f'--amp: the config has optim_wrapper.type={wrapper}. With --amp, it can be '
            f'{" or ".join(WRAPPERS_FOR_AMP)}. Set one of these, or remove --amp'
        )
    cfg.optim_wrapper.type = 'mmgcvit.AutoPrecisionOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def enable_lr_scaling(cfg: Config) -> None:
    """For ``--auto-scale-lr``, enable mmengine's scaling of the learning rate."""
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise UserError(
            '--auto-scale-lr: the config has no auto_scale_lr.base_batch_size. Set it to the batch size for which the '
            'learning rate was chosen, or remove --auto-scale-lr'
        )
    cfg.auto_scale_lr.enable = True


def add_trackers(cfg: Config, names: Sequence[str]) -> None:
    """For ``--log-to``, add mmengine's visualization backends."""
    missing = [TRACKERS[name][1] for name in names if find_spec(TRACKERS[name][1]) is None]
    if missing:
        raise UserError(f'--log-to needs {" and ".join(missing)}. Run: pip install {" ".join(missing)}')
    if names:
        visualizer = cfg.setdefault('visualizer', ConfigDict(type='Visualizer'))
        backends = visualizer.get('vis_backends') or [ConfigDict(type='LocalVisBackend')]
        present = {backend['type'] for backend in backends}
        added = [TRACKERS[name][0] for name in names if TRACKERS[name][0] not in present]
        visualizer.vis_backends = [*backends, *(ConfigDict(type=backend) for backend in added)]


def warn_of_batch_size(cfg: Config, file_cfg: Config, world_size: int) -> None:
    """Log a warning if the learning rate was chosen for another effective batch size than this run's.

    The learning rate was chosen for ``auto_scale_lr.base_batch_size`` times the accumulation steps in ``file_cfg``, the
    config without options. If an option has changed the base batch size, use the accumulation steps in ``cfg`` instead.
    There is no warning if the sizes are equal or unknown, or if mmengine scales the learning rate.
    """
    scaling = cfg.get('auto_scale_lr') or {}
    base, batch_size = scaling.get('base_batch_size'), (cfg.get('train_dataloader') or {}).get('batch_size')
    if scaling.get('enable') or base is None or batch_size is None:
        return
    is_base_changed = base != (file_cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    steps, base_steps = (
        (settings.get('optim_wrapper') or {}).get('accumulative_counts', 1)
        for settings in (cfg, cfg if is_base_changed else file_cfg)
    )
    if world_size * batch_size * steps != base * base_steps:
        print_log(
            f'The learning rate is for an effective batch size of {base * base_steps}; this run has '
            f'{world_size * batch_size * steps} ({world_size} x {batch_size} x {steps}: processes x images x '
            'accumulation steps). Add --auto-scale-lr, or change train_dataloader.batch_size or '
            'optim_wrapper.accumulative_counts',
            'current',
            logging.WARNING,
        )
