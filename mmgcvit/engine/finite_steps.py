"""Steps of training whose loss or gradients are not finite."""

import logging
import math
from collections.abc import Iterator, Mapping
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
from ..hosts.mmengine import in_words, names_of, plain_model, running_statistics, suspects
from ..hosts.registry import HOOKS

# torch.amp.GradScaler begins at 2**16 and halves its scale at each step that it leaves out: to 2**-16, where float16
# has no infinity left that came of scaling.
MOST_BY_SCALER = 32
# Where mmengine's message hub, which checkpoints keep, has the name of the last checkpoint that is known to be good.
GOOD_CHECKPOINT = 'last_good_ckpt'
# Likewise, how many steps were left out in a row: a run that is often resumed must end too.
IN_A_ROW = 'steps_left_out_in_a_row'


class NotFiniteError(Exception):
    """A run's numbers are not finite; the message says what to do."""


@HOOKS.register_module()
class FiniteStepsHook(Hook):
    """Leaves out a step of the optimizer whose loss or gradients are not finite, and ends a run that has only such.

    A step left out changes no weights, no moments of the optimizer and no running statistics of normalisation layers.
    With ``accumulative_counts`` it is all the iterations whose gradients it adds up. Several processes leave out the
    same steps. The iteration counts all the same: for the schedule, and for the moving average, which takes the
    unchanged weights once more. The log names the images.

    It works on any optimizer of torch, under any of mmengine's wrappers, through torch's own hooks: before a step it
    takes the gradients away, and optimizers pass over parameters without. Steps that ``GradScaler`` leaves out, while
    it looks for its scale, are no faults, unless the loss itself was not finite.

    Args:
        most_in_a_row: With so many such steps in a row the run ends.

    Raises:
        ValueError: ``most_in_a_row`` is no positive number.
        NotFiniteError: While training: there have been so many.
    """

    # Before the hooks that log the losses and those that average the weights.
    priority = 'HIGHEST'

    def __init__(self, most_in_a_row: int = 3) -> None:
        if type(most_in_a_row) is not int or most_in_a_row < 1:
            raise ValueError(f'FiniteStepsHook: most_in_a_row={most_in_a_row!r}; expected a positive number')
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
        self.in_a_row = left_out_before(runner)
        model = plain_model(runner)
        self.statistics = RunningStatistics(model)
        self.handles = [model.register_forward_hook(self.note_loss)]
        for optimizer in optimizers_of(runner.optim_wrapper):
            self.handles.append(optimizer.register_step_pre_hook(self.judge_step))

    def after_train(self, runner: Runner) -> None:
        """Look no more."""
        for handle in self.handles:
            handle.remove()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if not self.losses:
            self.statistics.keep()

    def note_loss(self, model: nn.Module, arguments: Any, outputs: Any) -> None:
        """What torch calls after the model's forward pass."""
        if model.training and isinstance(outputs, Mapping):
            self.losses += total(outputs)

    def judge_step(self, optimizer: Optimizer, arguments: Any, options: Any) -> None:
        """What torch calls before the optimizer's step."""
        is_finite = are_finite_everywhere([*self.losses, *norms(optimizer)])
        if not is_finite:
            optimizer.zero_grad(set_to_none=True)
        self.is_finite = is_finite and self.is_finite is not False

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        self.images += names_of(data_batch)
        if self.has_bad_loss():
            self.spoiling += suspects(data_batch)
            # Now, not when the step is complete: other hooks average and save the statistics, and log the losses.
            self.statistics.restore()
            leave_out_of_log(outputs or {})
        if not completes_step(runner.optim_wrapper):
            return
        is_fault = self.is_fault(runner.optim_wrapper)
        self.in_a_row = self.in_a_row + 1 if is_fault else 0
        runner.message_hub.update_info(IN_A_ROW, self.in_a_row)
        if is_fault:
            self.statistics.restore()
            self.report(runner)
        else:
            note_good_checkpoint(runner)
        self.begin_step()

    def has_bad_loss(self) -> bool:
        """Whether this process's latest loss is not finite. Of a step that was judged so, the device is not asked."""
        return not self.is_finite and bool(self.losses) and not math.isfinite(self.losses[-1])

    def is_fault(self, wrapper: Any) -> bool:
        """Whether the step was left out, by other than GradScaler's own doing."""
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
        """Say what was left out, and end the run where it was one too many.

        Raises:
            NotFiniteError: It was.
        """
        told = all_gather_object((self.spoiling, self.images))
        spoiling, images = ([name for of_process in part for name in of_process] for part in zip(*told, strict=True))
        what = 'the loss is' if spoiling else 'the gradients are'
        images = in_words(spoiling or images)
        print_log(
            f'Iteration {runner.iter + 1}: {what} not finite, and the step is left out ({self.in_a_row} in a row; '
            f'the run ends at {self.most_in_a_row}). Images: {images}',
            'current',
            logging.WARNING,
        )
        if self.in_a_row >= self.most_in_a_row:
            steps = 'a step' if self.in_a_row == 1 else f'{self.in_a_row} steps in a row'
            raise NotFiniteError(
                f'Loss or gradients were not finite in {steps}, up to iteration {runner.iter + 1}, and the run has '
                f'ended, these steps left out. Lower the learning rate '
                f'({learning_rate(runner.optim_wrapper):.3g}) or mend the images of the last one ({images}). '
                f'{way_on(runner)}'
            )


class RunningStatistics:
    """Those of a model's normalisation layers, which a forward pass changes before its loss is known."""

    def __init__(self, model: nn.Module) -> None:
        self.buffers = list(running_statistics(model).values())
        self.copies = [buffer.clone() for buffer in self.buffers]

    def keep(self) -> None:
        """Remember them as they are."""
        for copy, buffer in zip(self.copies, self.buffers, strict=True):
            copy.copy_(buffer)

    def restore(self) -> None:
        """Make them what they were."""
        for copy, buffer in zip(self.copies, self.buffers, strict=True):
            buffer.copy_(copy)


def optimizers_of(wrapper: Any) -> Iterator[Optimizer]:
    """The optimizers of torch within a wrapper of mmengine."""
    for each in wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]:
        if isinstance(getattr(each, 'optimizer', None), Optimizer):
            yield each.optimizer


def completes_step(wrapper: Any) -> bool:
    """Whether an iteration was the last of those whose gradients are added up."""
    return not isinstance(wrapper, OptimWrapper) or wrapper.should_update()


def total(outputs: Mapping[str, Any]) -> list[Tensor]:
    """One number that is finite if every loss of a model's outputs is; none where there is no loss."""
    values = [value for name, value in outputs.items() if 'loss' in name]
    parts = [part for value in values for part in ([value] if isinstance(value, Tensor) else value)]
    return [torch.stack([part.detach().float().mean() for part in parts]).sum()] if parts else []


def leave_out_of_log(outputs: dict[str, Any]) -> None:
    """Remove what is not finite from an iteration's losses: it would spoil the means of the log."""
    for name in [name for name, value in outputs.items() if not torch.as_tensor(value).isfinite().all()]:
        del outputs[name]


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
    """Whether all numbers are finite, in every process; the only time that a step waits for the device."""
    device = numbers[0].device if numbers else 'cpu'
    gathered = torch.stack([number.to(device, torch.float32) for number in numbers] or [torch.zeros(())])
    verdict = torch.isfinite(gathered).all().int()
    all_reduce(verdict, 'min')
    return bool(verdict)


def learning_rate(wrapper: Any) -> float:
    """The largest of a wrapper's groups."""
    return max(rate for rates in wrapper.get_lr().values() for rate in rates)


def left_out_before(runner: Runner) -> int:
    """How many steps in a row were left out when a run that is resumed was saved; 0 in a new one."""
    count = runner.message_hub.runtime_info.get(IN_A_ROW, 0)
    return count if type(count) is int and count > 0 else 0


def note_good_checkpoint(runner: Runner) -> None:
    """Note of the last checkpoint that a step was finite after it: one saved just after weights burst is no good."""
    last = runner.message_hub.runtime_info.get('last_ckpt')
    if last is not None:
        runner.message_hub.update_info(GOOD_CHECKPOINT, last)


def way_on(runner: Runner) -> str:
    """How a run that has ended is gone on with."""
    good = runner.message_hub.runtime_info.get(GOOD_CHECKPOINT)
    if isinstance(good, str) and Path(good).is_file():
        return f'The last checkpoint after which a step was finite is {good}: go on from it with --resume {good}'
    newest = newest_whole_checkpoint(Path(runner.work_dir)).path
    if newest is None:
        return 'No checkpoint has been saved: begin anew'
    return f'After {newest}, the newest checkpoint, no step was finite: begin anew'
