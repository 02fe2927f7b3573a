"""Skip optimizer steps whose loss or gradients are NaN or infinite, and stop a run after several consecutive ones."""

import logging
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from ...checkpoints.weights import get_running_statistics
from ...errors import UserError, shorten
from ...mmengine_utils import MAX_IMAGES_NAMED, find_suspect_images, list_optim_wrappers, unwrap_model
from ...registry import HOOKS
from .async_loss_log import AsyncScalars

# Key of the number of skipped steps in mmengine's message hub.
SKIPPED_STEPS = 'skipped_steps'


@HOOKS.register_module()
class SkipNonFiniteStepHook(Hook):
    """Skip an optimizer step whose loss or gradients are NaN or infinite. Stop the run after several consecutive ones.

    A skipped step changes no weights, no optimizer state and no running statistics of normalisation layers. All ranks
    skip the same steps. With gradient accumulation, a step has several iterations. The log names a skipped step's
    images.

    torch calls :meth:`check_step` before each optimizer step. A fused Adam or AdamW skips the step on the GPU. The CPU
    reads one iteration later whether the step was skipped, so that it need not wait for the GPU. For other optimizers,
    :meth:`check_step` removes the gradients. Steps that ``GradScaler`` skips to adjust its scale do not count.

    Args:
        max_consecutive: Number of consecutive skipped steps after which the run stops.

    Raises:
        UserError: ``max_consecutive`` consecutive steps were skipped.
    """

    # Run before the hooks that average the weights.
    priority = 'HIGHEST'

    def __init__(self, max_consecutive: int = 3) -> None:
        self.max_consecutive = max_consecutive
        self.consecutive = 0
        self.handles: list[Any] = []
        # For the current step: each iteration's total loss, whether each optimizer's step is finite, and the batches.
        self.losses: list[Tensor] = []
        self.finite_steps: list[Tensor] = []
        self.batches: list[Any] = []
        # For the previous step: its iteration, its batches, and whether loss and step are finite, for the CPU to read.
        self.pending: tuple[int, list[Any], AsyncScalars] | None = None

    def before_train(self, runner: Runner) -> None:
        model = unwrap_model(runner)
        self.statistics = list(get_running_statistics(model).values())
        self.handles = [model.register_forward_hook(self.record_loss)]
        for wrapper in list_optim_wrappers(runner):
            if isinstance(getattr(wrapper, 'optimizer', None), Optimizer):
                self.handles.append(wrapper.optimizer.register_step_pre_hook(self.check_step))
                self.handles.append(wrapper.optimizer.register_step_post_hook(remove_found_inf))

    def after_train(self, runner: Runner) -> None:
        self.report_skipped_step(runner)
        for handle in self.handles:
            handle.remove()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if not self.losses:
            self.statistics_before = [buffer.clone() for buffer in self.statistics]

    def record_loss(self, model: nn.Module, inputs: Any, outputs: Any) -> None:
        """Record the sum of all losses. It is finite only if each loss is. torch calls this after the forward pass."""
        if model.training and isinstance(outputs, Mapping):
            losses = [value for name, value in outputs.items() if 'loss' in name]
            tensors = [tensor for value in losses for tensor in ([value] if isinstance(value, Tensor) else value)]
            if tensors:
                self.losses.append(torch.stack([tensor.detach().float().mean() for tensor in tensors]).sum())

    def check_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Skip the step if a loss or gradient is not finite. torch calls this before each optimizer step."""
        # GradScaler leaves the gradients of a fused optimizer scaled. It checks them itself and sets found_inf.
        found_inf = getattr(optimizer, 'found_inf', None)
        finite = are_finite_on_all_ranks(
            [*self.losses, *(compute_gradient_norms(optimizer) if found_inf is None else [])]
        )
        self.finite_steps.append(finite)
        if skips_on_device(optimizer):
            # torch's fused kernels skip the step if found_inf is 1, not if it is another value.
            optimizer.found_inf = (~finite if found_inf is None else ~finite | (found_inf.reshape(()) > 0)).float()
        elif not finite:
            optimizer.zero_grad(set_to_none=True)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        self.report_skipped_step(runner)
        self.batches.append(data_batch)
        wrapper = runner.optim_wrapper
        is_step = not isinstance(wrapper, OptimWrapper) or wrapper.should_update()
        loss_finite = finite = torch.isfinite(torch.stack(self.losses or [torch.zeros(())])).all()
        if is_step:
            # If gradients overflow, GradScaler does not call the optimizer. Then only the losses are checked.
            finite = torch.stack(self.finite_steps or [are_finite_on_all_ranks(self.losses)]).all()
        for buffer, before in zip(self.statistics, self.statistics_before, strict=True):
            buffer.copy_(torch.where(finite, buffer, before))
        if not is_step:
            return
        self.pending = runner.iter + 1, self.batches, AsyncScalars([loss_finite, finite])
        self.losses, self.finite_steps, self.batches = [], [], []

    def report_skipped_step(self, runner: Runner) -> None:
        """Log the previous step if it was skipped. Raise a UserError after ``max_consecutive`` skipped steps."""
        pending, self.pending = self.pending, None
        if pending is None:
            return
        iteration, batches, scalars = pending
        loss_finite, step_finite = map(bool, scalars.read())
        if step_finite:
            self.consecutive = 0
            return
        self.consecutive += 1
        runner.message_hub.update_info(SKIPPED_STEPS, runner.message_hub.runtime_info.get(SKIPPED_STEPS, 0) + 1)
        images = [name for batch in batches for name in find_suspect_images(batch)]
        losses_finite, images_of_ranks = zip(*all_gather_object((loss_finite, images)), strict=True)
        names = shorten([name for images in images_of_ranks for name in images], MAX_IMAGES_NAMED) or 'unknown'
        cause = 'the gradients are' if all(losses_finite) else 'the loss is'
        print_log(
            f'Iteration {iteration}: {cause} not finite, so the step was skipped '
            f'({self.consecutive} consecutive; the run stops at {self.max_consecutive}). Images: {names}',
            'current',
            logging.WARNING,
        )
        if self.consecutive >= self.max_consecutive:
            lr = max(lr for lrs in runner.optim_wrapper.get_lr().values() for lr in lrs)
            raise UserError(
                f'Loss or gradients were NaN or infinite in {self.consecutive} consecutive steps, up to iteration '
                f'{iteration}. These steps were skipped, and the run has stopped. Lower the learning rate (now '
                f'{lr:.3g}), or check the images of the last step ({names}). Then continue from an earlier checkpoint '
                'with --resume CHECKPOINT'
            )


def compute_gradient_norms(optimizer: Optimizer) -> list[Tensor]:
    """Compute the norm of each gradient on this rank."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]
    gradients = [p.grad for p in parameters if p.grad is not None and p.grad.numel()]
    return list(torch._foreach_norm(gradients)) if gradients else []


def are_finite_on_all_ranks(scalars: list[Tensor]) -> Tensor:
    """Return whether all scalars are finite on every rank, as a bool tensor on the device."""
    device = scalars[0].device if scalars else 'cpu'
    stacked = torch.stack([scalar.to(device, torch.float32) for scalar in scalars] or [torch.zeros(())])
    finite = torch.isfinite(stacked).all().int()
    all_reduce(finite, 'min')
    return finite.bool()


def skips_on_device(optimizer: Optimizer) -> bool:
    """Return whether an optimizer can skip steps by ``found_inf``. SGD must not skip its first step."""
    return isinstance(optimizer, Adam | AdamW) and all(group.get('fused') for group in optimizer.param_groups)


def remove_found_inf(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    """Remove ``found_inf`` after a step if ``check_step`` set it. GradScaler removes its ``found_inf`` itself."""
    # GradScaler sets grad_scale together with found_inf.
    if not hasattr(optimizer, 'grad_scale'):
        vars(optimizer).pop('found_inf', None)
