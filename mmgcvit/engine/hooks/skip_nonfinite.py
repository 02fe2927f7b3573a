"""Skip optimizer steps whose loss or gradients are NaN or infinite, and stop a run after several
consecutive ones.
"""

import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from ...checkpoints.weights import get_running_statistics
from ...errors import MANY, UserError, shorten
from ...mmengine_utils import get_image_name, list_optim_wrappers, unwrap_model
from ...registry import HOOKS

SKIPPED_STEPS = 'skipped_steps'  # key of the number of skipped steps in mmengine's message hub


@HOOKS.register_module()
class SkipNonFiniteStepHook(Hook):
    """Skip an optimizer step whose loss or gradients are NaN or infinite. Stop the run after
    several consecutive ones.

    A skipped step changes no weights, no optimizer state and no running statistics of normalisation
    layers. All ranks skip the same steps. With gradient accumulation, a step has several
    iterations. The log names a skipped step's images. Steps that ``GradScaler`` skips to adjust its
    scale do not count. After ``max_consecutive`` skipped steps, raise a UserError.
    """

    # Run before the hooks that average the weights or log the outputs.
    priority = 'HIGHEST'

    def __init__(self, max_consecutive: int = 3) -> None:
        self.max_consecutive = max_consecutive
        self.consecutive = 0
        self.start_step()

    def start_step(self) -> None:
        """Forget each iteration's total loss and batch, and whether each optimizer's step is
        finite.
        """
        self.losses: list[Tensor] = []
        self.batches: list[Any] = []
        self.finite_steps: list[bool] = []

    def before_train(self, runner: Runner) -> None:
        model = unwrap_model(runner)
        self.statistics = list(get_running_statistics(model).values())
        self.handles = [model.register_forward_hook(self.record_loss)]
        for wrapper in list_optim_wrappers(runner):
            if isinstance(getattr(wrapper, 'optimizer', None), Optimizer):
                self.handles.append(wrapper.optimizer.register_step_pre_hook(self.check_step))

    def after_train(self, runner: Runner) -> None:
        for handle in self.handles:
            handle.remove()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if not self.losses:
            self.statistics_before = [buffer.clone() for buffer in self.statistics]

    def record_loss(self, model: nn.Module, inputs: Any, outputs: Any) -> None:
        """Record the total loss, which is finite only if each loss is.

        torch calls this after the forward pass.
        """
        if model.training and isinstance(outputs, Mapping):
            loss, _ = model.parse_losses(outputs)
            self.losses.append(torch.as_tensor(loss).detach())

    def check_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Remove the gradients if one of them or a loss is not finite.

        torch calls this before each optimizer step.
        """
        scalars = list(self.losses)
        # GradScaler leaves the gradients of a fused optimizer scaled. It checks them itself and
        # sets found_inf.
        if getattr(optimizer, 'found_inf', None) is None:
            weights = chain.from_iterable(group['params'] for group in optimizer.param_groups)
            trained = [x for x in weights if x.grad is not None and x.grad.numel() > 0]
            # With this limit, finite gradients are multiplied by 1.
            scalars.append(clip_grad_norm_(trained, float('inf')))
        self.finite_steps.append(are_finite_on_all_ranks(scalars))
        if not self.finite_steps[-1]:
            optimizer.zero_grad(set_to_none=True)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.batches.append(data_batch)
        wrapper = runner.optim_wrapper
        # Wrappers of other types step at each iteration.
        if isinstance(wrapper, OptimWrapper) and not wrapper.should_update():
            is_finite = are_finite(self.losses)
        else:
            # If gradients overflow, GradScaler does not call the optimizer. Then only the losses
            # are checked.
            is_finite = all(self.finite_steps or [are_finite_on_all_ranks(self.losses)])
            self.report_step(runner, is_finite)
            self.start_step()
        if not is_finite:
            for buffer, before in zip(self.statistics, self.statistics_before, strict=True):
                buffer.copy_(before)
            # Other hooks log the outputs. Without these entries, averages stay finite.
            for name, value in list((outputs or {}).items()):
                if not torch.as_tensor(value).isfinite().all():
                    del outputs[name]

    def report_step(self, runner: Runner, is_finite: bool) -> None:
        """Log a skipped step. Raise a UserError after ``max_consecutive`` of them."""
        if is_finite:
            self.consecutive = 0
            return
        self.consecutive += 1
        num_skipped = runner.message_hub.runtime_info.get(SKIPPED_STEPS, 0) + 1
        runner.message_hub.update_info(SKIPPED_STEPS, num_skipped)
        images = list(chain.from_iterable(map(find_suspect_images, self.batches)))
        images, losses_are_finite = zip(
            *all_gather_object((images, are_finite(self.losses))), strict=True
        )
        names = shorten(list(chain.from_iterable(images)), MANY) or 'unknown'
        cause = 'the gradients are' if all(losses_are_finite) else 'the loss is'
        result = f'{cause} not finite, so the step was skipped ({self.consecutive} in a row)'
        message = f'Iteration {runner.iter + 1}: {result}. Images: {names}'
        print_log(message, 'current', logging.WARNING)
        if self.consecutive < self.max_consecutive:
            return
        lr = max(chain.from_iterable(runner.optim_wrapper.get_lr().values()))
        raise UserError(
            f'Loss or gradients were NaN or infinite in {self.consecutive} consecutive steps, up '
            f'to iteration {runner.iter + 1}. Lower the learning rate (now {lr:.3g}), or check the '
            f'images of the last step ({names}). Then continue with --resume, or from an earlier '
            'checkpoint with --resume CHECKPOINT. To draw other images and random numbers, add '
            f'--cfg-options randomness.seed={runner.seed + 1}'
        )


def are_finite(scalars: list[Tensor]) -> bool:
    """Return whether all scalars are finite on this rank."""
    return all(map(torch.isfinite, scalars))


def are_finite_on_all_ranks(scalars: list[Tensor]) -> bool:
    """Return whether all scalars are finite on all ranks."""
    finite = torch.tensor(int(are_finite(scalars)))
    all_reduce(finite, 'min')
    return bool(finite)


def find_suspect_images(batch: Any) -> list[str]:
    """Return the paths of a batch's images with NaN or infinite pixels.

    If none has such pixels, return all paths.
    """
    samples = batch.get('data_samples') if isinstance(batch, Mapping) else None
    if not isinstance(samples, Sequence):
        return []
    names = [get_image_name(sample) for sample in samples]
    images = zip(names, batch.get('inputs', ()), strict=False)
    return [
        name for name, image in images if isinstance(image, Tensor) and not image.isfinite().all()
    ] or names
