"""Check the data and the checkpoint, and train with mmengine's Runner."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config, ConfigDict
from mmengine.dist import get_world_size

from ..checkpoints.class_rows import ClassMatch
from ..checkpoints.fitting import fit_checkpoint
from ..checkpoints.safe_loading import Checkpoint
from ..checkpoints.starting import select_initial
from ..datasets.checks.sources import get_check_settings
from ..datasets.skip_unreadable import skip_unreadable
from ..errors import UserError
from ..host.config import TRACKERS, get_type_name, read_config
from ..host.datasets import iter_unwrapped_datasets
from ..host.files import write_text
from ..host.private_api import stop_workers
from ..host.runners import call_on_rank_0, get_timeout
from ..ops.requirements import check_installed
from ..predict.loading import collect_dataset_metas
from ..runs.folder import INTERRUPTED_FILE
from .data import check_data
from .hooks.lists import list_train_hooks
from .hooks.progress import open_progress
from .interrupts import get_signal, handle_signals
from .runner import Runner
from .setup import open_runner
from .unread import check_settings
from .work_dir import choose_checkpoint

# Mixed precision replaces these types of optimizer wrappers. Other types raise an error.
WRAPPERS_FOR_AMP = ('OptimWrapper', 'AmpOptimWrapper', 'AutoPrecisionOptimWrapper')


def train(
    cfg: Config,
    amp: bool = False,
    auto_scale_lr: bool = False,
    resume: str | None = None,
    overwrite: bool = False,
    log_to: Sequence[str] = (),
    progress: bool = False,
    patience: int | None = None,
    recipe: Config | None = None,
    same_model: bool = False,
    meta: Mapping[str, Any] | None = None,
) -> None:
    """Train with a config, which is not changed.

    The work dir must be locked, and the process group joined.

    Args:
        cfg: The config.
        amp: Whether to train in mixed precision.
        auto_scale_lr: Whether to scale the learning rate to the effective batch size.
        resume: The checkpoint to resume from, or ``'auto'`` for the latest one of the work dir.
        overwrite: Whether to remove the checkpoints of an earlier run after the first iteration.
        log_to: The names of :data:`.TRACKERS` to which the run also logs.
        progress: Whether to show progress bars, and write the log only to its file.
        patience: After so many validations without a better score, the training stops.
        recipe: The config without the user's options, by default as in its file: the learning rate
            is for its batch size.
        same_model: Whether ``load_from`` must be a checkpoint of the same model, whose classes are
            matched by name. By default, parts that do not fit are left out.
        meta: What checkpoints also have in their ``meta``, in built-in types.

    Raises:
        UserError: An argument, the config, the checkpoint or the data is invalid.
    """
    check_settings(cfg)
    if recipe is None:
        recipe = read_config(cfg.filename) if cfg.filename else cfg
    cfg = deepcopy(cfg)
    if amp:
        enable_amp(cfg)
    if auto_scale_lr:
        cfg.auto_scale_lr = {**(cfg.get('auto_scale_lr') or {}), 'enable': True}
    add_trackers(cfg, log_to)
    warning = check_batch_size(cfg, recipe, get_world_size())
    skip_unreadable(cfg, get_check_settings(cfg)['unreadable_images'])
    timeout = get_timeout(cfg)
    checkpoint = call_on_rank_0(
        choose_checkpoint, cfg, resume=resume, overwrite=overwrite, timeout=timeout
    )
    cfg.resume = checkpoint is not None and checkpoint.is_resumed
    cfg.load_from = checkpoint and checkpoint.source
    call_on_rank_0(check_data, cfg, ['train_dataloader', 'val_dataloader'], timeout=timeout)
    with (
        open_progress(progress) as progress_hook,
        open_runner(cfg, checkpoint, list_train_hooks(progress_hook, patience)) as runner,
    ):
        if warning:
            runner.logger.warning(warning)
        runner.meta = meta or {}
        if checkpoint:
            prepare_start(runner, cfg, checkpoint, same_model)
        run_until_signal(runner)


def prepare_start(
    runner: Runner, cfg: Config, checkpoint: Checkpoint, same_model: bool = False
) -> None:
    """Fit a checkpoint to the model of a runner that resumes from it, or starts from its weights.

    Raise a CheckpointError if it does not fit. ``same_model`` is that of :func:`train`.
    """
    if checkpoint.is_resumed:
        fit_checkpoint(runner.model, checkpoint)
        return
    runner.initial_weights = select_initial(
        runner.model,
        checkpoint,
        classes=find_class_match(cfg, checkpoint),
        same_model=same_model,
    )


def find_class_match(cfg: Config, checkpoint: Checkpoint) -> ClassMatch | None:
    """Return the names of the classes of a checkpoint and of the training images, or None if the
    checkpoint or the config has none.
    """
    dataset = next(iter_unwrapped_datasets(cfg.train_dataloader.dataset))
    names = []
    for meta in collect_dataset_metas(checkpoint.content['meta'], dataset):
        classes = meta.get('classes')
        if not isinstance(classes, list | tuple) or not classes:
            return None
        names.append(tuple(map(str, classes)))
    return ClassMatch(*names)


def run_until_signal(runner: Runner) -> None:
    """Train until the end or a signal, and end the data workers."""
    others = active_children()
    # Logs of a start have a folder of their own, which all nodes see.
    note = Path(runner.log_dir, INTERRUPTED_FILE)
    with handle_signals():
        try:
            with follow_interrupt(note):
                runner.train()
        except KeyboardInterrupt as interrupt:
            if get_world_size() > 1:
                write_interrupt(note, interrupt)
            log_interrupt(runner)
            # Data workers may not end for long. torch raises errors for those that have ended, but
            # not for those that have been waited for.
            for worker in set(active_children()) - set(others):
                worker.kill()
                worker.join(1)
            raise
    stop_workers(runner.train_dataloader)
    if runner.val_dataloader:
        stop_workers(runner.val_dataloader)


@contextmanager
def follow_interrupt(note: Path) -> Iterator[None]:
    """After an error, raise the KeyboardInterrupt of another rank if a signal has ended one.

    A signal in a validation ends the ranks of its machine at once. Those of other machines miss
    them, which torch raises as a RuntimeError, and then read the note.
    """
    try:
        yield
    except RuntimeError as error:
        number = read_interrupt(note)
        if number is None:
            raise
        raise KeyboardInterrupt(number) from error


def write_interrupt(note: Path, interrupt: KeyboardInterrupt) -> None:
    """Note for the other ranks, before this one ends, that a signal has interrupted it."""
    # Without the note, for example on a full disk, other machines report a lost rank.
    with suppress(OSError):
        write_text(note, str(get_signal(interrupt)))


def read_interrupt(note: Path) -> int | None:
    """Return the number of the signal that has interrupted another rank, or None."""
    try:
        return int(note.read_text())
    except OSError:
        return None


def log_interrupt(runner: Runner) -> None:
    """Log how to continue a run that a signal has ended."""
    advice = 'there is no checkpoint yet'
    for hook in runner.hooks:
        if getattr(hook, 'last_ckpt', None):
            advice = (
                f'checkpoint: {hook.last_ckpt}\ncontinue by resuming the run (resume=True, '
                'without load_from)'
            )
    runner.logger.warning(f'interrupted after iteration {runner.iter}; {advice}')


def enable_amp(cfg: Config) -> None:
    """Enable mixed precision."""
    if not torch.cuda.is_available():
        raise UserError(
            'mixed precision (amp) needs a GPU, and torch finds none. Train without it',
            arguments=['amp'],
        )
    wrapper = get_type_name(cfg.optim_wrapper) or 'OptimWrapper'
    if wrapper not in WRAPPERS_FOR_AMP:
        raise UserError(
            f'mixed precision (amp): the config has optim_wrapper.type={wrapper}. Set '
            'OptimWrapper, or train without it',
            arguments=['amp'],
        )
    cfg.optim_wrapper.type = 'mmgcvit.AutoPrecisionOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def add_trackers(cfg: Config, names: Sequence[str]) -> None:
    """Add mmengine's visualization backends of these :data:`.TRACKERS`."""
    check_installed(f'logging to {" and ".join(names)}', *names)
    if not names:
        return
    visualizer = cfg.setdefault('visualizer', ConfigDict(type='Visualizer'))
    backends = list(visualizer.get('vis_backends') or [ConfigDict(type='LocalVisBackend')])
    present = {backend['type'] for backend in backends}
    for name in names:
        if TRACKERS[name] not in present:
            backends.append({'type': TRACKERS[name]})
    visualizer.vis_backends = backends


def check_batch_size(cfg: Config, file_cfg: Config, world_size: int) -> str | None:
    """Return a warning if the learning rate is for another effective batch size, or None.

    The learning rate is for ``auto_scale_lr.base_batch_size`` times the accumulation steps of
    ``file_cfg``, the config without options. mmengine scales it without regard to accumulation, so
    the base batch size in ``cfg`` is changed.
    """
    scaling = cfg.get('auto_scale_lr') or ConfigDict()
    loader = cfg.get('train_dataloader') or {}
    base = scaling.get('base_batch_size')
    batch_size = loader.get('batch_size')
    steps = count_steps(cfg)
    file_steps = count_steps(file_cfg)
    if scaling.get('enable') and base is None:
        raise UserError(
            'auto_scale_lr: the config has no auto_scale_lr.base_batch_size, for which its '
            'learning rate is. Set it, or do not scale',
            arguments=['auto_scale_lr'],
        )
    if not base or not batch_size:
        return None
    if base != (file_cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
        file_steps = steps  # an option has set the base for these steps
    recipe = round(base * file_steps)
    if recipe != base * steps:
        scaling.base_batch_size = recipe / steps
    size = world_size * batch_size * steps
    if size == recipe or scaling.get('enable'):
        return None
    return (
        f'The learning rate is for an effective batch size of {recipe}; this run has {size} '
        f'({world_size} x {batch_size} x {steps}: processes x images x accumulation steps). Set '
        'auto_scale_lr, or change the batch size'
    )


def count_steps(cfg: Config) -> int:
    """Return the number of iterations whose gradients an optimizer step accumulates."""
    return (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
