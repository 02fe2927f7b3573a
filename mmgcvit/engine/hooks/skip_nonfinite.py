"""Skip optimizer steps whose loss or gradients are NaN or infinite, and stop a run after several
consecutive ones.
"""

import logging
from collections.abc import Mapping
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
from ...mmengine_utils import find_suspect_images, list_optim_wrappers, unwrap_model
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
        # For the current step: each iteration's total loss and batch, and whether each optimizer's
        # step is finite.
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
        """Record the sum of all losses. It is finite only if each loss is.

        torch calls this after the forward pass.
        """
        if model.training and isinstance(outputs, Mapping):
            losses = [value for name, value in outputs.items() if 'loss' in name]
            tensors = [
                tensor
                for value in losses
                for tensor in ([value] if isinstance(value, Tensor) else value)
            ]
            if tensors:
                self.losses.append(
                    torch.stack([tensor.detach().float().mean() for tensor in tensors]).sum()
                )

    def check_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Remove the gradients if one of them or a loss is not finite.

        torch calls this before each optimizer step.
        """
        # GradScaler leaves the gradients of a fused optimizer scaled. It checks them itself and
        # sets found_inf.
        is_checked = getattr(optimizer, 'found_inf', None) is not None
        parameters = (
            []
            if is_checked
            else chain.from_iterable(group['params'] for group in optimizer.param_groups)
        )
        weights = [
            weight for weight in parameters if weight.grad is not None and weight.grad.numel()
        ]
        norm = clip_grad_norm_(weights, float('inf'))  # which multiplies finite gradients by 1
        self.finite_steps.append(are_finite_on_all_ranks([*self.losses, norm]))
        if not self.finite_steps[-1]:
            optimizer.zero_grad(set_to_none=True)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        self.batches.append(data_batch)
        # Whether the optimizer has just stepped. Wrappers other than OptimWrapper step at each
        # iteration.
        if (
            isinstance(runner.optim_wrapper, OptimWrapper)
            and not runner.optim_wrapper.should_update()
        ):
            is_finite = all(map(torch.isfinite, self.losses))
        else:
            # If gradients overflow, GradScaler does not call the optimizer. Then only the losses
            # are checked.
            is_finite = all(self.finite_steps or [are_finite_on_all_ranks(self.losses)])
            self.report_step(runner, is_finite)
            self.losses, self.finite_steps, self.batches = [], [], []
        if not is_finite:
            for buffer, before in zip(self.statistics, self.statistics_before, strict=True):
                buffer.copy_(before)
            # Other hooks log the outputs. Without these entries, averages stay finite.
            for name in [
                name
                for name in outputs or ()
                if not torch.as_tensor(outputs[name]).isfinite().all()
            ]:
                del outputs[name]

    def report_step(self, runner: Runner, is_finite: bool) -> None:
        """Log a step if it was skipped. Raise a UserError after ``max_consecutive`` skipped steps."""
        self.consecutive = 0 if is_finite else self.consecutive + 1
        if is_finite:
            return
        runner.message_hub.update_info(
            SKIPPED_STEPS, runner.message_hub.runtime_info.get(SKIPPED_STEPS, 0) + 1
        )
        images = [name for batch in self.batches for name in find_suspect_images(batch)]
        is_loss_finite = all(map(torch.isfinite, self.losses))
        losses_finite, images_of_ranks = zip(
            *all_gather_object((is_loss_finite, images)), strict=True
        )
        names = shorten([name for images in images_of_ranks for name in images], MANY) or 'unknown'
        cause = 'the gradients are' if all(losses_finite) else 'the loss is'
        result = f'{cause} not finite, so the step was skipped ({self.consecutive} in a row)'
        print_log(
            f'Iteration {runner.iter + 1}: {result}. Images: {names}', 'current', logging.WARNING
        )
        if self.consecutive >= self.max_consecutive:
            lr = max(lr for lrs in runner.optim_wrapper.get_lr().values() for lr in lrs)
            raise UserError(
                f'Loss or gradients were NaN or infinite in {self.consecutive} consecutive steps, '
                'up to iteration '
                f'{runner.iter + 1}. Lower the learning rate (now {lr:.3g}), or check the images '
                'of the last step '
                f'({names}). Then continue with --resume, or from an earlier checkpoint with '
                '--resume CHECKPOINT. '
                'To draw other images and random numbers, add --cfg-options '
                f'randomness.seed={runner.seed + 1}'
            )


def are_finite_on_all_ranks(scalars: list[Tensor]) -> bool:
    """Return whether all scalars are finite on all ranks."""
    finite = torch.tensor(int(all(map(torch.isfinite, scalars))))
    all_reduce(finite, 'min')
    return bool(finite)
