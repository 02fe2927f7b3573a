"""Numbers of a run that are not finite: steps with such are left out, checkpoints with such are not saved."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from ..checkpoints import newest_whole_checkpoint
from ..checkpoints.weights import are_finite
from ..errors import UserError, shorten
from ..hosts.mmengine import IMAGES_NAMED, names_of, optim_wrappers, plain_model, running_statistics, suspects
from ..registry import HOOKS
from .late import LateNumbers

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
    :meth:`judge_step` decides. A fused Adam or AdamW leaves the step out on the device, and the host waits for nothing:
    it reads the verdict an iteration later, and before anything is saved or validated. Of other optimizers the
    gradients are taken away; they pass over parameters without. Of several (``OptimWrapperDict``) each is judged by its
    own gradients. Steps that ``GradScaler`` leaves out, while it looks for its scale, are no faults, unless the loss
    itself was not finite.

    Args:
        most_in_a_row: With so many such steps in a row the run ends.

    Raises:
        UserError: ``most_in_a_row`` is no positive number; or while training: there have been so many.
    """

    # Before the hooks that average the weights.
    priority = 'HIGHEST'

    def __init__(self, most_in_a_row: int = 3) -> None:
        if type(most_in_a_row) is not int or most_in_a_row < 1:
            raise UserError(f'FiniteStepsHook: most_in_a_row={most_in_a_row!r}; expected a positive number')
        self.most_in_a_row = most_in_a_row
        self.in_a_row = 0
        self.by_scaler_in_a_row = 0
        self.has_scaler = self.looks_for_scale = False
        self.handles: list[Any] = []
        # Of the step under way, on the device; verdicts are of the optimizers that GradScaler has called.
        self.losses: list[Tensor] = []
        self.verdicts: list[Tensor] = []
        self.by_scaler: list[Tensor] = []
        # What the host has yet to read, and of the step that it reads all images and those whose loss is not finite.
        self.judged: tuple[int, Any, bool, str | None, LateNumbers] | None = None
        self.images: list[str] = []
        self.spoiling: list[str] = []

    def before_train(self, runner: Runner) -> None:
        before = runner.message_hub.runtime_info.get(IN_A_ROW, 0)
        self.in_a_row = max(before, 0) if type(before) is int else 0
        model = plain_model(runner)
        self.statistics = list(running_statistics(model).values())
        self.handles = [model.register_forward_hook(self.note_loss)]
        # mmengine's hook says only to process 0 that it saves.
        others = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
        self.intervals = {hook.interval for hook in others if not hook.by_epoch}
        for wrapper in optim_wrappers(runner):
            if isinstance(wrapper, AmpOptimWrapper):
                # bfloat16 has the range of float32: there is no scale to look for.
                self.has_scaler, self.looks_for_scale = True, wrapper.cast_dtype is not torch.bfloat16
            if isinstance(getattr(wrapper, 'optimizer', None), Optimizer):
                have_hooks_called(wrapper.optimizer)
                self.handles.append(wrapper.optimizer.register_step_pre_hook(self.judge_step))
                self.handles.append(wrapper.optimizer.register_step_post_hook(take_verdict_back))

    def after_train(self, runner: Runner) -> None:
        self.settle(runner)
        for handle in self.handles:
            handle.remove()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if not self.losses:
            # A forward pass changes them before its loss is known.
            self.kept_statistics = [buffer.clone() for buffer in self.statistics]

    def note_loss(self, model: nn.Module, arguments: Any, outputs: Any) -> None:
        """What torch calls after the model's forward pass: keep a number that is finite if every loss is."""
        if model.training and isinstance(outputs, Mapping):
            values = [value for name, value in outputs.items() if 'loss' in name]
            parts = [part for value in values for part in ([value] if isinstance(value, Tensor) else value)]
            if parts:
                self.losses.append(torch.stack([part.detach().float().mean() for part in parts]).sum())

    def judge_step(self, optimizer: Optimizer, arguments: Any, options: Any) -> None:
        """Leave a step out that is not finite: what torch calls before the optimizer's step."""
        # GradScaler judges the gradients of a fused optimizer, which are still scaled, itself.
        by_scaler = getattr(optimizer, 'found_inf', None)
        is_finite = are_finite_everywhere([*self.losses, *(norms(optimizer) if by_scaler is None else [])])
        if by_scaler is not None:
            by_scaler = by_scaler.reshape(())
            self.by_scaler.append(by_scaler)
        self.verdicts.append(is_finite)
        if skips_on_device(optimizer):
            # 1 and no other number is what its kernels leave a step out for.
            optimizer.found_inf = (~is_finite if by_scaler is None else ~is_finite | (by_scaler > 0)).float()
        elif not is_finite:
            optimizer.zero_grad(set_to_none=True)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        self.settle(runner)
        wrapper = runner.optim_wrapper
        is_step = not isinstance(wrapper, OptimWrapper) or wrapper.should_update()
        loss_is_finite = torch.isfinite(self.losses[-1]) if self.losses else torch.tensor(True)
        is_finite = loss_is_finite
        if is_step:
            is_finite = torch.stack(self.verdicts or [are_finite_everywhere(self.losses)]).all()
        by_scaler = torch.full_like(is_finite, is_step and self.has_scaler and not self.verdicts)
        for found in self.by_scaler:
            by_scaler = by_scaler | (found > 0)
        if not self.looks_for_scale:
            is_finite = is_finite & ~by_scaler
        # At once: other hooks average and save the statistics.
        for buffer, kept in zip(self.statistics, self.kept_statistics, strict=True):
            buffer.copy_(torch.where(is_finite, buffer, kept))
        last_before = runner.message_hub.runtime_info.get('last_ckpt')
        verdict = LateNumbers([loss_is_finite, is_finite, by_scaler])
        self.judged = runner.iter, data_batch, is_step, last_before, verdict
        if is_step:
            self.losses, self.verdicts, self.by_scaler = [], [], []
        if any(self.every_n_train_iters(runner, interval) for interval in self.intervals):
            self.settle(runner)

    def settle(self, runner: Runner) -> None:
        """Count, report and end the run by an iteration whose verdict the host has not read; all processes call it."""
        judged, self.judged = self.judged, None
        if judged is None:
            return
        iteration, batch, is_step, last_before, verdict = judged
        loss_is_finite, is_finite, by_scaler = map(bool, verdict.read())
        self.images += names_of(batch)
        if not loss_is_finite:
            self.spoiling += suspects(batch)
        if not is_step:
            return
        is_fault = self.is_fault(is_finite, by_scaler)
        self.in_a_row = self.in_a_row + 1 if is_fault else 0
        runner.message_hub.update_info(IN_A_ROW, self.in_a_row)
        if is_fault:
            runner.message_hub.update_info(LEFT_OUT, steps_left_out(runner) + 1)
            self.report(runner, iteration + 1)
        elif last_before is not None:
            # Only now: a checkpoint that was saved just after weights burst is no good.
            runner.message_hub.update_info(GOOD_CHECKPOINT, last_before)
        self.images, self.spoiling = [], []

    # What is saved is as if no verdict had been late; a validation begins no run that is to end.
    before_save_in_all = after_train_epoch = before_val = settle

    def is_fault(self, is_finite: bool, by_scaler: bool) -> bool:
        """Whether a step was left out, and not by GradScaler's search for its scale."""
        self.by_scaler_in_a_row = self.by_scaler_in_a_row + 1 if by_scaler else 0
        return not is_finite or self.by_scaler_in_a_row > MOST_BY_SCALER

    def report(self, runner: Runner, iteration: int) -> None:
        """Say what was left out, and end the run where it was one too many."""
        told = all_gather_object((self.spoiling, self.images))
        spoiling, images = ([name for of_process in part for name in of_process] for part in zip(*told, strict=True))
        named = shorten(spoiling or images, IMAGES_NAMED) or 'unknown'
        print_log(
            f'Iteration {iteration}: {"the loss is" if spoiling else "the gradients are"} not finite, and the '
            f'step is left out ({self.in_a_row} in a row; the run ends at {self.most_in_a_row}). Images: {named}',
            'current',
            logging.WARNING,
        )
        if self.in_a_row >= self.most_in_a_row:
            steps = 'a step' if self.in_a_row == 1 else f'{self.in_a_row} steps in a row'
            rate = max(rate for rates in runner.optim_wrapper.get_lr().values() for rate in rates)
            raise UserError(
                f'Loss or gradients were not finite in {steps}, up to iteration {iteration}, and the run has '
                f'ended, these steps left out. Lower the learning rate ({rate:.3g}) or mend the images of the last one '
                f'({named}). {way_on(runner)}'
            )


def steps_left_out(runner: Runner) -> int:
    """How many steps of a run were left out so far; what a checkpoint says may be anything."""
    before = runner.message_hub.runtime_info.get(LEFT_OUT, 0)
    return before if type(before) is int else 0


def norms(optimizer: Optimizer) -> list[Tensor]:
    """The norm of each gradient that this process holds."""
    held = [parameter.grad for group in optimizer.param_groups for parameter in group['params']]
    gradients = [gradient for gradient in held if gradient is not None and gradient.numel()]
    return list(torch._foreach_norm(gradients)) if gradients else []


def are_finite_everywhere(numbers: list[Tensor]) -> Tensor:
    """Whether all numbers are finite, in every process, as the device knows it."""
    device = numbers[0].device if numbers else 'cpu'
    gathered = torch.stack([number.to(device, torch.float32) for number in numbers] or [torch.zeros(())])
    verdict = torch.isfinite(gathered).all().int()
    all_reduce(verdict, 'min')
    return verdict.bool()


def skips_on_device(optimizer: Optimizer) -> bool:
    """Whether an optimizer leaves a step out by ``found_inf``; SGD's first one would begin with any momentum."""
    return isinstance(optimizer, Adam | AdamW) and all(group.get('fused') for group in optimizer.param_groups)


def have_hooks_called(optimizer: Optimizer) -> None:
    """Give an optimizer the calls of its hooks back: torch 2.1 takes them from all once anything is compiled."""
    step = optimizer.step
    if not calls_hooks(type(optimizer).step) and not calls_hooks(step):
        optimizer.step = MethodType(
            Optimizer.profile_hook_step(lambda _, *args, **kwargs: step(*args, **kwargs)), optimizer
        )


def calls_hooks(step: Any) -> bool:
    """Whether a step is what torch makes of an optimizer's, by itself or within what schedulers make of that."""
    code = Optimizer.profile_hook_step(step).__code__
    while step is not None and getattr(step, '__code__', None) is not code:
        step = getattr(step, '__wrapped__', None)
    return step is not None


def take_verdict_back(optimizer: Optimizer, arguments: Any, options: Any) -> None:
    """What torch calls after a step; what GradScaler has set, with ``grad_scale``, it takes back itself."""
    if not hasattr(optimizer, 'grad_scale'):
        vars(optimizer).pop('found_inf', None)


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
