"""What happens inside a rehearsed process, written to a file in its work dir."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from ...hosts.registry import HOOKS

FILE = 'observed.json'

# Smaller gradients, clipped, need not move a weight in float32: those of DINO's level_embed, whose next layers
# begin at zero.
TINY = 1e-5


@HOOKS.register_module()
class DryRunObserver(Hook):
    """Writes down where training began and ended, its losses, which weights had a gradient and moved, and scores.

    Of predictions a sum is kept, by which those of two processes are compared: the scores of a model that has learned
    nothing are all zero. The file, :data:`FILE` in the work dir, is written after each event.
    """

    def __init__(self) -> None:
        self.observed: dict[str, Any] = {'losses': [], 'val_predictions': 0.0, 'test_predictions': 0.0}
        self.before: dict[str, Tensor] = {}
        self.had_gradient: dict[str, bool] = {}

    def before_train(self, runner: Runner) -> None:
        self.before = {name: weight.detach().cpu().clone() for name, weight in learned(runner.model)}
        for name, weight in learned(runner.model):
            weight.register_post_accumulate_grad_hook(lambda weight, name=name: self.see_gradient(name, weight))
        self.observed.update(start=runner.iter, start_state=state_of(runner))
        self.write(runner)

    def see_gradient(self, name: str, weight: nn.Parameter) -> None:
        """Note that a weight had a gradient, and whether it was ever large enough to move the weight."""
        self.had_gradient[name] = self.had_gradient.get(name, False) or bool((weight.grad.abs() > TINY).any())

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        losses = {name: float(value) for name, value in (outputs or {}).items() if is_number(value)}
        self.observed['losses'].append(losses)
        self.write(runner)

    def after_train(self, runner: Runner) -> None:
        weights = {name: weight.detach().cpu() for name, weight in learned(runner.model)}
        moved = {name for name, weight in weights.items() if not torch.equal(weight, self.before[name])}
        parts = {name.split('.')[0] for name, large in self.had_gradient.items() if large}
        self.observed.update(
            end=runner.iter,
            end_state=state_of(runner),
            num_weights=len(weights),
            num_moved=len(moved),
            without_gradient=sorted(set(weights) - set(self.had_gradient)),
            unmoved_parts=sorted(parts - {name.split('.')[0] for name in moved}),
        )
        self.write(runner)

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        self.observed['val_predictions'] += sum_of_predictions(outputs or ())

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        self.observed['test_predictions'] += sum_of_predictions(outputs or ())

    def after_val_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        self.observed['val'] = numbers_of(metrics)
        self.write(runner)

    def after_test_epoch(self, runner: Runner, metrics: Mapping[str, float] | None = None) -> None:
        self.observed['test'] = numbers_of(metrics)
        self.write(runner)

    def write(self, runner: Runner) -> None:
        (Path(runner.work_dir) / FILE).write_text(json.dumps(self.observed))


def learned(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """A model's weights that are trained, under their names without a wrapper's."""
    model = model.module if is_model_wrapper(model) else model
    return ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)


def state_of(runner: Runner) -> list[float]:
    """Sums over all weights, and over all that the optimizer keeps: equal where a run goes on from a checkpoint."""
    weights = [weight for _, weight in learned(runner.model)]
    optimizer = runner.optim_wrapper.optimizer if hasattr(runner.optim_wrapper, 'optimizer') else None
    states = optimizer.state.values() if optimizer is not None else []
    kept = [value for state in states for value in state.values() if isinstance(value, Tensor)]
    return [sum(float(tensor.detach().double().abs().sum()) for tensor in tensors) for tensors in (weights, kept)]


def sum_of_predictions(samples: Sequence[Any]) -> float:
    """The sum of all numbers that images' data samples have as predictions: boxes, scores, label maps, ..."""
    predictions = [
        value
        for sample in samples
        if isinstance(sample, BaseDataElement)
        for name, value in sample.all_items()
        if name.startswith('pred')
    ]
    tensors = [
        tensor
        for value in predictions
        for tensor in (value.values() if isinstance(value, BaseDataElement) else [value])
        if isinstance(tensor, Tensor)
    ]
    return sum(float(tensor.double().sum()) for tensor in tensors)


def is_number(value: Any) -> bool:
    """Whether a value is one number, also as a tensor."""
    return isinstance(value, Real) or (isinstance(value, Tensor) and value.numel() == 1)


def numbers_of(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """The scores that are numbers; those of classes that no image shows are none."""
    numbers = {name: float(value) for name, value in (metrics or {}).items() if is_number(value)}
    return {name: value for name, value in numbers.items() if not math.isnan(value)}
