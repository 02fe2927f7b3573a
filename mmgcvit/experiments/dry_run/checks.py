"""What must be true of a rehearsed run, from what the observer saw of it."""

import math
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from .configs import as_list
from .schedule import ITERATIONS

Observed = dict[str, Any]
TOLERANCE = 1e-3
NAMED_AT_MOST = 3


class CheckError(Exception):
    """A process ended without an error but did not do what it should."""


def check_training(cfg: Config, observed: Observed) -> str:
    """Losses are finite, every weight had a gradient, weights moved. Returns what was found."""
    return f'{check_losses(observed)}; {check_weights(cfg, observed)}'


def check_losses(observed: Observed) -> str:
    """Each iteration has finite losses."""
    losses = observed['losses']
    if len(losses) != ITERATIONS:
        raise CheckError(f'{len(losses)} iterations were trained; expected {ITERATIONS}')
    bad = [name for found in losses for name, value in found.items() if not math.isfinite(value)]
    if bad or not all(losses):
        raise CheckError(f'losses that are no finite numbers: {some(sorted(set(bad)) or ["none reported"])}')
    return 'loss ' + ', '.join(f'{found["loss"]:.3f}' for found in losses if 'loss' in found)


def check_weights(cfg: Config, observed: Observed) -> str:
    """Training moved every part of the model that it has a gradient for, and leaves no weight without one."""
    total, moved, idle = observed['num_weights'], observed['num_moved'], observed['without_gradient']
    if not moved or observed['unmoved_parts']:
        raise CheckError(f'training did not change the weights of {some(observed["unmoved_parts"] or ["the model"])}')
    if not idle:
        return f'{moved} of {total} weights moved, all had gradients'
    if not cfg.get('find_unused_parameters'):
        raise CheckError(
            f'{len(idle)} of {total} weights had no gradient: {some(idle)}. With several GPUs the run would stop; '
            'freeze them, or set find_unused_parameters=True'
        )
    return f'{moved} of {total} weights moved, {len(idle)} had no gradient (find_unused_parameters is set)'


def check_resumed(cfg: Config, before: Observed, observed: Observed) -> str:
    """Training went on where it had stopped, with the same weights and optimizer, and ended with a score."""
    if observed['start'] != before['end']:
        raise CheckError(f'resumed at iteration {observed["start"]}; the checkpoint is of iteration {before["end"]}')
    for name, old, new in zip(
        ('weights', 'optimizer state'), before['end_state'], observed['start_state'], strict=True
    ):
        if not math.isclose(old, new, rel_tol=1e-6):
            raise CheckError(f'the resumed {name} is another: absolute sum {new} instead of {old}')
    found = f'went on from iteration {observed["start"]} with the same weights and optimizer; {check_losses(observed)}'
    return f'{found}; {check_score(observed.get("val"), "validation")}' if cfg.get('val_cfg') is not None else found


def check_tested(cfg: Config, resumed: Observed, observed: Observed) -> str:
    """Testing gives a score; validation's, where both are of the same data."""
    if any(evaluator.get('format_only') for evaluator in as_list(cfg.test_evaluator)):
        return 'results were written; the config asks for no score (format_only)'
    found = check_score(observed.get('test'), 'test')
    if not resumed.get('val') or not validates_as_it_tests(cfg):
        return f'{found}; not compared with validation, which is configured otherwise'
    different = [
        f'{name} {value} in validation, {observed["test"].get(name)} in the test'
        for name, value in resumed['val'].items()
        if not math.isclose(value, observed['test'].get(name, math.inf), abs_tol=TOLERANCE) and 'time' not in name
    ]
    if different:
        raise CheckError(f'the same checkpoint scores otherwise: {some(different)}')
    validated, tested = resumed['val_predictions'], observed['test_predictions']
    if not math.isclose(validated, tested, rel_tol=TOLERANCE):
        raise CheckError(
            f'the same checkpoint predicts otherwise: sums of {validated} in validation, {tested} in the test'
        )
    return f'{found}; predictions and scores as in validation'


def check_score(metrics: dict[str, float] | None, what: str) -> str:
    """There are scores; the first few of them."""
    scores = {name: value for name, value in (metrics or {}).items() if 'time' not in name}
    if not scores:
        raise CheckError(f'{what} gave no score')
    return ', '.join(f'{name} {value:.4g}' for name, value in list(scores.items())[:2])


def validates_as_it_tests(cfg: Config) -> bool:
    """Whether validation and test have the same data and metrics."""
    return cfg.val_dataloader == cfg.test_dataloader and cfg.val_evaluator == cfg.test_evaluator


def some(names: Sequence[str]) -> str:
    """The first few names."""
    more = f' and {len(names) - NAMED_AT_MOST} more' if len(names) > NAMED_AT_MOST else ''
    return ', '.join(names[:NAMED_AT_MOST]) + more
