"""Training from a config: its options, what is looked at before anything is built, and the run."""

import logging
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import broadcast_object_list, get_world_size, is_distributed
from mmengine.logging import print_log
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from ..checkpoints import DamagedCheckpointError
from ..checkpoints.loading import check_fits
from ..checkpoints.run_folder import newest_whole_checkpoint, resume
from ..checkpoints.safe_loading import safe_checkpoint_loading
from ..datasets.checks import skip_damaged
from ..datasets.checks.sources import settings_of
from ..errors import UserError
from ..hosts.configs import read_config
from ..hosts.mmengine import do_together
from ..ops.compiled import check_operators
from .batch import other_batch_size
from .beginning import Beginning
from .changes import NO_CHANGES, Changes, check_changes
from .conclusion import ConclusionHook
from .early_end import WARNINGS
from .exact_resume import ResumeCheckHook
from .processes import check_sharding, prepare_processes
from .saving import check_folder, hook_of
from .starting import check_data, check_shared_folders, check_work_dir, is_first_of_node

AMP_REPLACES = ('OptimWrapper', 'AmpOptimWrapper', 'mmgcvit.AutoPrecisionOptimWrapper')
# What one types, mmengine's backend for it, and the package that this needs.
TRACKERS = {
    'tensorboard': ('TensorboardVisBackend', 'tensorboard'),
    'wandb': ('WandbVisBackend', 'wandb'),
}


def prepare(
    cfg: Config, amp: bool = False, auto_scale_lr: bool = False, overwrite: bool = False, trackers: Sequence[str] = ()
) -> None:
    """Have a config do what the options ask for; the run's processes find each other."""
    if amp:
        enable_amp(cfg)
    if auto_scale_lr:
        scale_learning_rate(cfg)
    if overwrite:
        allow_overwriting(cfg)
    if trackers:
        log_to(cfg, trackers)
    check_sharding(cfg)
    check_operators(cfg)
    skip_damaged(cfg, settings_of(cfg)['damaged_images'])
    prepare_processes(cfg)


def run(
    cfg: Config, config: str, beginning: Beginning, changes: Changes = NO_CHANGES, trust_checkpoint: bool = False
) -> None:
    """Train what a prepared config says, which was read from the file ``config``, within the context ``beginning``.

    The hooks that the config names do the rest: ``finite`` leaves out steps that are not finite, ``saving`` writes
    checkpoints, ``early_end`` answers a scheduler's warning.
    """
    passed_over = check_data(cfg, ['train_dataloader', 'val_dataloader'])
    named = [cfg.load_from] if cfg.get('load_from') else []
    trusted = named if trust_checkpoint else []
    with safe_checkpoint_loading(cfg.work_dir, trusted) as read, whole_one_named(cfg):
        runner = beginning.build(cfg)
        check_shared_folders(cfg, ['val_evaluator'])
        warning = other_batch_size(cfg, read_config(config), get_world_size())
        if warning is not None:
            print_log(warning, 'current', logging.WARNING)
        if named:
            # mmengine's FlexibleRunner builds its own model only when training starts.
            model = runner.model if isinstance(runner.model, nn.Module) else MODELS.build(deepcopy(runner.model))
            check_fits(model, read(cfg.load_from), cfg.load_from, '' if cfg.get('resume') else 'backbone.')
            if cfg.get('resume'):
                runner.register_hook(ResumeCheckHook(cfg.load_from, changes))
        runner.register_hook(ConclusionHook(passed_over))
        runner.train()


def settle(cfg: Config, resume_from: str | None = None, with_changes: bool = False) -> Changes:
    """Look at work dir and checkpoint before anything is written; what a resumed run has otherwise than before."""
    check_work_dir(cfg.work_dir)
    if resume_from is None and cfg.get('resume'):
        resume_from = cfg.get('load_from') or 'auto'
    if resume_from is not None:
        # Its digest is computed once on each node, if its processes have joined: on GPUs they do with the runner.
        looks = is_first_of_node(cfg) or not is_distributed()
        do_together(whole_one_named(cfg)(lambda: resume(cfg, resume_from) if looks else None))
        named = [cfg.get('load_from')]
        broadcast_object_list(named)
        cfg.resume, cfg.load_from = True, named[0]
    do_together(whole_one_named(cfg)(lambda: check_folder(cfg)))
    return whole_one_named(cfg)(check_changes)(cfg, with_changes)


@contextmanager
def within_a_program(cfg: Config) -> Iterator[None]:
    """However a run ends, leave to the program that called it its answers to signals, and where it looks types up."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in WARNINGS if is_main}
    try:
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmengine'):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


@contextmanager
def whole_one_named(cfg: Config) -> Iterator[None]:
    """Say of a damaged checkpoint which one beside it is whole."""
    try:
        yield
    except DamagedCheckpointError as error:
        newest = newest_whole_checkpoint(Path(cfg.get('load_from') or '').parent)
        beside = f'. Whole, beside it: {newest.path}' if newest.path else ''
        raise UserError(f'{error}{beside}') from None


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
    hook, is_ours = hook_of(cfg)
    if not is_ours:
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
