"""Checkpoints hold finite numbers only."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from ..checkpoints.values import are_finite
from ..errors import shorten
from ..hosts.mmengine import plain_model, running_statistics
from ..hosts.registry import HOOKS
from .finite_steps import NotFiniteError, way_on

# The weights (the moving average's, where there is one), the other of the two, and the moments of the optimizer.
PARTS = ('state_dict', 'ema_state_dict', 'optimizer')


@HOOKS.register_module()
class FiniteCheckpointsHook(Hook):
    """Ends a run instead of saving weights, averages or moments of the optimizer that are not finite.

    Raises:
        NotFiniteError: While training: a checkpoint would hold such.
    """

    # After the hooks that put something into a checkpoint.
    priority = 'LOWEST'

    def __init__(self) -> None:
        self.never_finite: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Note the buffers that are not finite by design, as masks with infinities are not; no layer's statistics."""
        model = plain_model(runner)
        wrong = {name for name, buffer in model.named_buffers() if not is_fine(buffer)}
        self.never_finite = wrong - running_statistics(model).keys()

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        held = tensors_of({part: checkpoint.get(part, {}) for part in PARTS})
        wrong = [name for name, tensor in held if not is_fine(tensor) and not self.is_never_finite(name)]
        if wrong:
            raise NotFiniteError(
                f'{len(wrong)} tensors are not finite at iteration {runner.iter + 1} ({shorten(wrong)}); they are not '
                f'saved, and the run has ended. Lower the learning rate. {way_on(runner)}'
            )

    def is_never_finite(self, name: str) -> bool:
        """Whether a tensor of a checkpoint is one of those buffers."""
        return name.split('.', 1)[1].removeprefix('module.') in self.never_finite


def is_fine(tensor: Tensor) -> bool:
    """Whether a tensor has no number that is not finite."""
    return not tensor.is_floating_point() or are_finite(tensor)


def tensors_of(value: Any, name: str = '') -> Iterator[tuple[str, Tensor]]:
    """All tensors within mappings and sequences, by their path."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes):
        entries = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, entry in entries:
            yield from tensors_of(entry, f'{name}.{key}' if name else str(key))
