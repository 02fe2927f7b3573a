"""A dry run: the commands of a real run, one after the other, on a config that ``shrinking`` has made small.

:func:`rehearse` starts each in a process of its own. Inside of it :class:`DryRunObserver` writes down what happens; a
check of each step reads it afterwards, and raises a UserError where a process ended well and did not do what it should.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any, TextIO

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ..errors import UserError, shorten
from ..registry import HOOKS
from .shrinking import ITERATIONS, as_list, longer

# What the observer writes, in the work dir.
FILE = 'observed.json'
# Smaller gradients, clipped, need not move a weight in float32: those of DINO's level_embed, whose next layers
# begin at zero.
TINY = 1e-5
TOLERANCE = 1e-3
LINES_OF_A_FAILURE = 25
Observed = dict[str, Any]
# Runs a module that is a program with its arguments, output and errors to a file; returns its exit code.
RunProgram = Callable[[list[str], TextIO], int]


def in_new_process(program: list[str], log: TextIO) -> int:
    """Run a program as users do: nothing that this process has imported hides what it does not import itself."""
    return subprocess.run([sys.executable, '-m', *program], stdout=log, stderr=subprocess.STDOUT).returncode


def rehearse(cfg: Config, folder: Path, say: Callable[[str], None], run: RunProgram = in_new_process) -> bool:
    """Run a prepared config, written to ``<folder>/config.py``, as users do; tell whether every step succeeded.

    At the first that does not the rehearsal ends, and its last lines are said. Logs go into the folder.
    """
    seen: dict[str, Observed] = {}
    for name, what, program, check in steps(cfg, folder, seen):
        began = time.perf_counter()
        observed, log = folder / 'run' / FILE, folder / f'{name}.log'
        observed.unlink(missing_ok=True)
        with log.open('w') as file:
            exit_code = run(program, file)
        if observed.is_file():
            seen[name] = json.loads(observed.read_text())
        failure = None
        if exit_code:
            last = log.read_text(errors='replace').splitlines()[-LINES_OF_A_FAILURE:]
            failure = '\n'.join([f'exit code {exit_code}', *(f'  | {line}' for line in last)])
        elif name not in seen:
            failure = 'it ended without having trained or tested'
        else:
            try:
                found = check(seen[name])
            except UserError as error:
                failure = str(error)
        took = f'{time.perf_counter() - began:.0f} s'
        if failure:
            say(f'{name if seen else "build"}: FAILED after {took}: {failure}\n  whole log: {log}')
            return False
        say(f'{name}: OK ({took}; {what})\n  {found}')
    return True


def steps(
    cfg: Config, folder: Path, seen: dict[str, Observed]
) -> Iterator[tuple[str, str, list[str], Callable[[Observed], str]]]:
    """The commands of a run: name; what it shows; a module that is a program, with arguments; what reads the observed.

    The checkpoint of the last is known only when the ones before it have run.
    """
    train = ['mmgcvit', 'train', str(folder / 'config.py')]
    yield 'train', f'model and data build, {ITERATIONS} iterations, checkpoint', train, partial(check_training, cfg)
    what = f'{ITERATIONS} more iterations from the checkpoint, validation'
    resume = [*train, '--resume', '--cfg-options', longer(cfg)]
    yield 'resume', what, resume, lambda observed: check_resumed(cfg, seen['train'], observed)
    if cfg.get('test_cfg') is not None and cfg.get('test_dataloader'):
        checkpoint = (folder / 'run' / 'last_checkpoint').read_text().strip()
        test = ['mmgcvit', 'test', str(folder / 'config.py'), checkpoint]
        what = 'the checkpoint loads and is scored'
        yield 'test', what, test, lambda observed: check_tested(cfg, seen['resume'], observed)


def check_training(cfg: Config, observed: Observed) -> str:
    """Losses are finite, training moved every part that has a gradient, and no weight is without one."""
    losses = check_losses(observed)
    total, moved, idle = observed['num_weights'], observed['num_moved'], observed['without_gradient']
    if not moved or observed['unmoved_parts']:
        raise UserError(f'training did not change the weights of {shorten(observed["unmoved_parts"] or ["the model"])}')
    if not idle:
        return f'{losses}; {moved} of {total} weights moved, all had gradients'
    if not cfg.get('find_unused_parameters'):
        raise UserError(
            f'{len(idle)} of {total} weights had no gradient: {shorten(idle)}. With several GPUs the run would stop; '
            'freeze them, or set find_unused_parameters=True'
        )
    return f'{losses}; {moved} of {total} weights moved, {len(idle)} had no gradient (find_unused_parameters is set)'


def check_losses(observed: Observed) -> str:
    """Each iteration has finite losses."""
    losses = observed['losses']
    if len(losses) != ITERATIONS:
        raise UserError(f'{len(losses)} iterations were trained; expected {ITERATIONS}')
    bad = {name for found in losses for name, value in found.items() if not math.isfinite(value)}
    if bad or not all(losses):
        raise UserError(f'losses that are no finite numbers: {shorten(sorted(bad) or ["none reported"])}')
    return 'loss ' + ', '.join(f'{found["loss"]:.3f}' for found in losses if 'loss' in found)


def check_resumed(cfg: Config, before: Observed, observed: Observed) -> str:
    """Training went on where it had stopped, with the same weights and optimizer, and ended with a score."""
    if observed['start'] != before['end']:
        raise UserError(f'resumed at iteration {observed["start"]}; the checkpoint is of iteration {before["end"]}')
    states = zip(('weights', 'optimizer state'), before['end_state'], observed['start_state'], strict=True)
    for name, old, new in states:
        if not math.isclose(old, new, rel_tol=1e-6):
            raise UserError(f'the resumed {name} is another: absolute sum {new} instead of {old}')
    found = f'went on from iteration {observed["start"]} with the same weights and optimizer; {check_losses(observed)}'
    return f'{found}; {check_score(observed.get("val"), "validation")}' if cfg.get('val_cfg') is not None else found


def check_tested(cfg: Config, resumed: Observed, observed: Observed) -> str:
    """Testing gives a score; validation's, where both are of the same data."""
    if any(evaluator.get('format_only') for evaluator in as_list(cfg.test_evaluator)):
        return 'results were written; the config asks for no score (format_only)'
    found = check_score(observed.get('test'), 'test')
    same = cfg.val_dataloader == cfg.test_dataloader and cfg.val_evaluator == cfg.test_evaluator
    if not resumed.get('val') or not same:
        return f'{found}; not compared with validation, which is configured otherwise'
    different = [
        f'{name} {value} in validation, {observed["test"].get(name)} in the test'
        for name, value in resumed['val'].items()
        if not math.isclose(value, observed['test'].get(name, math.inf), abs_tol=TOLERANCE) and 'time' not in name
    ]
    if different:
        raise UserError(f'the same checkpoint scores otherwise: {shorten(different)}')
    validated, tested = resumed['val_predictions'], observed['test_predictions']
    if not math.isclose(validated, tested, rel_tol=TOLERANCE):
        raise UserError(
            f'the same checkpoint predicts otherwise: sums of {validated} in validation, {tested} in the test'
        )
    return f'{found}; predictions and scores as in validation'


def check_score(metrics: dict[str, float] | None, what: str) -> str:
    """There are scores; the first few of them."""
    scores = {name: value for name, value in (metrics or {}).items() if 'time' not in name}
    if not scores:
        raise UserError(f'{what} gave no score')
    return ', '.join(f'{name} {value:.4g}' for name, value in list(scores.items())[:2])


@HOOKS.register_module()
class DryRunObserver(Hook):
    """Writes down where training began and ended, its losses, which weights had a gradient and moved, and scores.

    Of predictions a sum is kept, by which those of two processes are compared: the scores of a model that has learned
    nothing are all zero.
    """

    def __init__(self) -> None:
        self.observed: Observed = {'losses': [], 'val_predictions': 0.0, 'test_predictions': 0.0}
        self.before: dict[str, Tensor] = {}
        self.had_gradient: dict[str, bool] = {}

    def write(self, runner: Runner, **observed: Any) -> None:
        self.observed.update(observed)
        (Path(runner.work_dir) / FILE).write_text(json.dumps(self.observed))

    def before_train(self, runner: Runner) -> None:
        self.before = {name: weight.detach().cpu().clone() for name, weight in learned(runner.model)}
        for name, weight in learned(runner.model):
            weight.register_post_accumulate_grad_hook(partial(self.see_gradient, name))
        self.write(runner, start=runner.iter, start_state=state_of(runner))

    def see_gradient(self, name: str, weight: nn.Parameter) -> None:
        """Note that a weight had a gradient, and whether it was ever large enough to move the weight."""
        self.had_gradient[name] = self.had_gradient.get(name, False) or bool((weight.grad.abs() > TINY).any())

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        self.write(runner, losses=[*self.observed['losses'], numbers_of(outputs)])

    def after_train(self, runner: Runner) -> None:
        weights = {name: weight.detach().cpu() for name, weight in learned(runner.model)}
        moved = {name for name, weight in weights.items() if not torch.equal(weight, self.before[name])}
        parts = {name.split('.')[0] for name, large in self.had_gradient.items() if large}
        self.write(
            runner,
            end=runner.iter,
            end_state=state_of(runner),
            num_weights=len(weights),
            num_moved=len(moved),
            without_gradient=sorted(set(weights) - set(self.had_gradient)),
            unmoved_parts=sorted(parts - {name.split('.')[0] for name in moved}),
        )

    def _after_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None, mode: str = 'train'
    ) -> None:
        """What the host calls after each batch of validation and test."""
        self.observed[f'{mode}_predictions'] += sum_of_predictions(outputs or ())

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        self.write(runner, val=scores_in(metrics))

    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        self.write(runner, test=scores_in(metrics))


def learned(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """A model's weights that are trained, under their names without a wrapper's."""
    model = model.module if is_model_wrapper(model) else model
    return ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)


def state_of(runner: Runner) -> list[float]:
    """Sums over all weights, and over all that the optimizer keeps: equal where a run goes on from a checkpoint."""
    weights = [weight for _, weight in learned(runner.model)]
    optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
    states = optimizer.state.values() if optimizer is not None else []
    kept = [value for state in states for value in state.values() if isinstance(value, Tensor)]
    return [sum(float(tensor.detach().double().abs().sum()) for tensor in tensors) for tensors in (weights, kept)]


def sum_of_predictions(samples: Sequence[Any]) -> float:
    """The sum of all numbers that images' data samples have as predictions: boxes, scores, label maps, ..."""
    total = 0.0
    for sample in samples:
        for name, value in sample.all_items() if isinstance(sample, BaseDataElement) else ():
            if name.startswith('pred'):
                tensors = value.values() if isinstance(value, BaseDataElement) else [value]
                total += sum(float(tensor.double().sum()) for tensor in tensors if isinstance(tensor, Tensor))
    return total


def numbers_of(values: Mapping[str, Any] | None) -> dict[str, float]:
    """Those of some named values that are one number, also as a tensor."""
    return {
        name: float(value)
        for name, value in (values or {}).items()
        if isinstance(value, Real) or (isinstance(value, Tensor) and value.numel() == 1)
    }


def scores_in(metrics: Mapping[str, float] | None) -> dict[str, float]:
    """The scores; those of classes that no image shows are none."""
    return {name: value for name, value in numbers_of(metrics).items() if not math.isnan(value)}
