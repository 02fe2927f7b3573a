"""Two iterations, a checkpoint, and what a longer run would have scheduled left as it is."""

from typing import Any

from mmengine.config import Config

from ...datasets.checks import type_name
from .configs import as_list

ITERATIONS = 2
BATCH_SIZE = 2


def shorten(cfg: Config) -> list[str]:
    """Train for two iterations with a checkpoint at the end; validation comes with the resumed run's end."""
    keep_ends_of_schedulers(cfg)
    loop = {key: value for key, value in cfg.train_cfg.items() if key != 'dynamic_intervals'}
    if is_iter_based(cfg):
        loop.update(max_iters=ITERATIONS, val_begin=ITERATIONS + 1, val_interval=ITERATIONS)
    else:
        loop.update(max_epochs=1, val_begin=2, val_interval=1)
    cfg.train_cfg = loop
    shorten_hooks(cfg)
    accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
    if accumulated > ITERATIONS:
        cfg.optim_wrapper.accumulative_counts = ITERATIONS
    notes = [f'{ITERATIONS} iterations of {BATCH_SIZE} images']
    if accumulated > ITERATIONS:
        notes[0] += f', accumulated over {ITERATIONS} instead of {accumulated}'
    return notes


def is_iter_based(cfg: Config) -> bool:
    """Whether training is counted in iterations, not in epochs."""
    return 'max_iters' in cfg.train_cfg


def longer(cfg: Config) -> str:
    """The option that makes a shortened run go on for two more iterations."""
    return f'train_cfg.max_iters={2 * ITERATIONS}' if is_iter_based(cfg) else 'train_cfg.max_epochs=2'


def keep_ends_of_schedulers(cfg: Config) -> None:
    """Write out the ends that schedulers take from the length of the run: those of the real run.

    A warm-up longer than the rehearsal would be refused otherwise, and a decay would happen at once.
    """
    for scheduler in as_list(cfg.get('param_scheduler')):
        if scheduler.get('by_epoch', True):
            scheduler.setdefault('end', cfg.train_cfg.get('max_epochs', 1))
        elif is_iter_based(cfg):
            scheduler.setdefault('end', cfg.train_cfg.max_iters)
        else:
            # How many iterations the epochs have only the real data says.
            scheduler.setdefault('end', scheduler.get('begin', 0) + 1000 * cfg.train_cfg.max_epochs)


def shorten_hooks(cfg: Config) -> None:
    """Log every iteration, save after the last, average weights within the few, and end where one is not finite."""
    hooks = cfg.get('default_hooks') or {}
    checkpoint = {'type': 'CheckpointHook', **(hooks.get('checkpoint') or {})}
    checkpoint.update(interval=1 if checkpoint.get('by_epoch', True) else ITERATIONS, save_begin=0, save_last=True)
    logger = {'type': 'LoggerHook', **(hooks.get('logger') or {}), 'interval': 1}
    finite_steps = {'type': 'mmgcvit.FiniteStepsHook', **(hooks.get('finite_steps') or {}), 'most_in_a_row': 1}
    cfg.default_hooks = {**hooks, 'checkpoint': checkpoint, 'logger': logger, 'finite_steps': finite_steps}
    cfg.custom_hooks = [averaging_soon(hook) for hook in cfg.get('custom_hooks') or []]


def averaging_soon(hook: dict[str, Any]) -> dict[str, Any]:
    """A hook that averages weights, at an interval that the few iterations reach; any other as it is."""
    if 'EMAHook' in type_name(hook) and hook.get('interval', 1) > ITERATIONS:
        return {**hook, 'interval': ITERATIONS}
    return hook
