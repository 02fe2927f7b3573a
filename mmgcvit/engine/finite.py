"""Numbers of a run that are not finite: steps with such are left out, checkpoints with such are not saved."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.optim import Optimizer

from ..checkpoints import newest_whole_checkpoint
from ..checkpoints.weights import are_finite
from ..errors import UserError, shorten
from ..hosts.mmengine import IMAGES_NAMED, names_of, plain_model, running_statistics, suspects
from ..registry import HOOKS

# torch.amp.GradScaler begins at 2**16 and halves its scale at each step that it leaves out: to 2**-16, where float16
# has no infinity left that came of scaling.
MOST_BY_SCALER = 32
# Where mmengine's message hub, which checkpoints keep, has the name of the last checkpoint that is known to be good.
GOOD_CHECKPOINT = 'last_good_ckpt'
# Likewise, how many steps were left out in a row: a run that is often resumed must end too.
IN_A_ROW = 'steps_left_out_in_a_row'
# Likewise, how many in all.
LEFT_OUT = 'steps_left_out'


@HOOKS.register_module()
class FiniteStepsHook(Hook):
    """Leaves out a step of the optimizer whose loss or gradients are not finite, and ends a run that has only such.

    A step left out changes no weights, no moments of the optimizer and no running statistics of normalisation layers.
    With ``accumulative_counts`` it is all the iterations whose gradients it adds up. Several processes leave out the
    same steps. The iteration counts all the same: for the schedule, and for the moving average, which takes the
    unchanged weights once more. The log names the images.

    It works on any optimizer of torch, under any of mmengine's wrappers, through torch's own hooks: before a step
    :meth:`judge_step` decides, and takes the gradients away where it leaves the step out; optimizers pass over
    parameters without. Of several optimizers (``OptimWrapperDict``) each is judged by its own gradients. Steps that
    ``GradScaler`` leaves out, while it looks for its scale, are no faults, unless the loss itself was not finite.

    Args:
        most_in_a_row: With so many such steps in a row the run ends.

    Raises:
        UserError: ``most_in_a_row`` is no positive number; or while training: there have been so many.
    """

    # Before the hooks that log the losses and those that average the weights.
    priority = 'HIGHEST'

    def __init__(self, most_in_a_row: int = 3) -> None:
        if type(most_in_a_row) is not int or most_in_a_row < 1:
            raise UserError(f'FiniteStepsHook: most_in_a_row={most_in_a_row!r}; expected a positive number')
        self.most_in_a_row = most_in_a_row
        self.in_a_row = 0
        self.by_scaler_in_a_row = 0
        self.handles: list[Any] = []
        self.begin_step()

    def begin_step(self) -> None:
        """Forget the step before."""
        self.losses: list[Tensor] = []
        self.images: list[str] = []
        self.spoiling: list[str] = []
        # None until the optimizer is called: GradScaler may not call it.
        self.is_finite: bool | None = None

    def before_train(self, runner: Runner) -> None:
        """Look at what the model and the optimizer do from now on."""
        before = runner.message_hub.runtime_info.get(IN_A_ROW, 0)
        self.in_a_row = max(before, 0) if type(before) is int else 0
        model = plain_model(runner)
        self.statistics = list(running_statistics(model).values())
        self.handles = [model.register_forward_hook(self.note_loss)]
        wrapper = runner.optim_wrapper
        for each in wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]:
            if isinstance(getattr(each, 'optimizer', None), Optimizer):
                self.handles.append(each.optimizer.register_step_pre_hook(self.judge_step))

    def after_train(self, runner: Runner) -> None:
        """Look no more."""
        for handle in self.handles:
            handle.remove()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if not self.losses:
            # A forward pass changes them before its loss is known.
            self.kept_statistics = [buffer.clone() for buffer in self.statistics]

    def restore_statistics(self) -> None:
        """Make the running statistics what they were before the step."""
        for buffer, kept in zip(self.statistics, self.kept_statistics, strict=True):
            buffer.copy_(kept)

    def note_loss(self, model: nn.Module, arguments: Any, outputs: Any) -> None:
        """What torch calls after the model's forward pass: keep a number that is finite if every loss is."""
        if model.training and isinstance(outputs, Mapping):
            values = [value for name, value in outputs.items() if 'loss' in name]
            parts = [part for value in values for part in ([value] if isinstance(value, Tensor) else value)]
            if parts:
                self.losses.append(torch.stack([part.detach().float().mean() for part in parts]).sum())

    def judge_step(self, optimizer: Optimizer, arguments: Any, options: Any) -> None:
        """Leave a step out that is not finite: what torch calls before the optimizer's step."""
        is_finite = are_finite_everywhere([*self.losses, *norms(optimizer)])
        if not is_finite:
            optimizer.zero_grad(set_to_none=True)
        self.is_finite = is_finite and self.is_finite is not False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        wrapper = runner.optim_wrapper
        self.images += names_of(data_batch)
        # Of a step that was judged finite, the device is not asked again.
        if not self.is_finite and self.losses and not math.isfinite(self.losses[-1]):
            self.spoiling += suspects(data_batch)
            # Now, not when the step is complete: other hooks average and save the statistics, and the log takes means
            # of the losses.
            self.restore_statistics()
            for name in [name for name, value in (outputs or {}).items() if not is_fine(torch.as_tensor(value))]:
                del outputs[name]
        if isinstance(wrapper, OptimWrapper) and not wrapper.should_update():
            return
        is_fault = self.is_fault(wrapper)
        self.in_a_row = self.in_a_row + 1 if is_fault else 0
        runner.message_hub.update_info(IN_A_ROW, self.in_a_row)
        if is_fault:
            self.restore_statistics()
            runner.message_hub.update_info(LEFT_OUT, steps_left_out(runner) + 1)
            self.report(runner)
        elif (last := runner.message_hub.runtime_info.get('last_ckpt')) is not None:
            # Only now: a checkpoint that was saved just after weights burst is no good.
            runner.message_hub.update_info(GOOD_CHECKPOINT, last)
        self.begin_step()

    def is_fault(self, wrapper: Any) -> bool:
        """Whether a step was left out, and not by GradScaler's search for its scale."""
        if self.is_finite is not None:
            self.by_scaler_in_a_row = 0
            return not self.is_finite
        if not are_finite_everywhere(self.losses):
            return True
        if not isinstance(wrapper, AmpOptimWrapper):
            return False
        self.by_scaler_in_a_row += 1
        # bfloat16 has the range of float32: there is no scale to look for.
        return wrapper.cast_dtype is torch.bfloat16 or self.by_scaler_in_a_row > MOST_BY_SCALER

    def report(self, runner: Runner) -> None:
        """Say what was left out, and end the run where it was one too many."""
        told = all_gather_object((self.spoiling, self.images))
        spoiling, images = ([name for of_process in part for name in of_process] for part in zip(*told, strict=True))
        named = shorten(spoiling or images, IMAGES_NAMED) or 'unknown'
        print_log(
            f'Iteration {runner.iter + 1}: {"the loss is" if spoiling else "the gradients are"} not finite, and the '
            f'step is left out ({self.in_a_row} in a row; the run ends at {self.most_in_a_row}). Images: {named}',
            'current',
            logging.WARNING,
        )
        if self.in_a_row >= self.most_in_a_row:
            steps = 'a step' if self.in_a_row == 1 else f'{self.in_a_row} steps in a row'
            rate = max(rate for rates in runner.optim_wrapper.get_lr().values() for rate in rates)
            raise UserError(
                f'Loss or gradients were not finite in {steps}, up to iteration {runner.iter + 1}, and the run has '
                f'ended, these steps left out. Lower the learning rate ({rate:.3g}) or mend the images of the last one '
                f'({named}). {way_on(runner)}'
            )


def steps_left_out(runner: Runner) -> int:
    """How many steps of a run were left out so far; what a checkpoint says may be anything."""
    before = runner.message_hub.runtime_info.get(LEFT_OUT, 0)
    return before if type(before) is int else 0


def norms(optimizer: Optimizer) -> list[Tensor]:
    """The norm of each gradient that this process holds.

    Those of a fused optimizer under ``GradScaler`` are still scaled; it judges them itself.
    """
    if getattr(optimizer, 'found_inf', None) is not None:
        return []
    held = [parameter.grad for group in optimizer.param_groups for parameter in group['params']]
    gradients = [gradient for gradient in held if gradient is not None and gradient.numel()]
    return list(torch._foreach_norm(gradients)) if gradients else []


def are_finite_everywhere(numbers: list[Tensor]) -> bool:
    """Whether all numbers are finite, in every process: here a step waits for the device."""
    device = numbers[0].device if numbers else 'cpu'
    gathered = torch.stack([number.to(device, torch.float32) for number in numbers] or [torch.zeros(())])
    verdict = torch.isfinite(gathered).all().int()
    all_reduce(verdict, 'min')
    return bool(verdict)


@HOOKS.register_module()
class FiniteCheckpointsHook(Hook):
    """Ends a run instead of saving weights, averages or moments of the optimizer that are not finite.

    Raises:
        UserError: While training: a checkpoint would hold such.
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
        # The weights (the moving average's, where there is one), the other of the two, and the optimizer's moments.
        parts = {part: checkpoint.get(part, {}) for part in ('state_dict', 'ema_state_dict', 'optimizer')}
        wrong = [
            name
            for name, tensor in tensors_of(parts)
            if not is_fine(tensor) and name.split('.', 1)[1].removeprefix('module.') not in self.never_finite
        ]
        if wrong:
            raise UserError(
                f'{len(wrong)} tensors are not finite at iteration {runner.iter + 1} ({shorten(wrong)}); they are not '
                f'saved, and the run has ended. Lower the learning rate. {way_on(runner)}'
            )


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


def way_on(runner: Runner) -> str:
    """How a run that has ended is gone on with."""
    good = runner.message_hub.runtime_info.get(GOOD_CHECKPOINT)
    if isinstance(good, str) and Path(good).is_file():
        return f'The last checkpoint after which a step was finite is {good}: go on from it with --resume {good}'
    newest = newest_whole_checkpoint(Path(runner.work_dir)).path
    if newest is None:
        return 'No checkpoint has been saved: begin anew'
    return f'After {newest}, the newest checkpoint, no step was finite: begin anew'
