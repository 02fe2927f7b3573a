"""Skip optimizer steps whose loss or gradients are NaN or infinite, and stop a run that has several in a row."""

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

from ...errors import UserError, shorten
from ...mmengine_utils import MAX_IMAGES_NAMED, find_suspects, get_running_statistics, list_optim_wrappers, unwrap_model
from ...registry import HOOKS
from .async_loss_log import AsyncScalars

# The key of mmengine's message hub under which the number of skipped steps is saved.
SKIPPED_STEPS = 'skipped_steps'


@HOOKS.register_module()
class SkipNonFiniteStepHook(Hook):
    """Skip an optimizer step whose loss or gradients are not finite; stop the run after several in a row.

    A skipped step changes no weights, no optimizer state and no running statistics of normalisation layers. All ranks
    skip the same steps. With ``accumulative_counts`` a step has several iterations. The log names the images.

    The check runs in torch's own optimizer hooks. A fused Adam or AdamW skips the step on the GPU, and the CPU reads
    the verdict one iteration later, without waiting; other optimizers find no gradients. Steps that ``GradScaler``
    skips while it looks for its scale do not count.

    Args:
        max_consecutive: The run stops after this many skipped steps in a row.

    Raises:
        UserError: While training, that many steps were skipped in a row.
    """

    # Before the hooks that average the weights.
    priority = 'HIGHEST'

    def __init__(self, max_consecutive: int = 3) -> None:
        self.max_consecutive = max_consecutive
        self.consecutive = 0
        self.handles: list[Any] = []
        # Of the current step, on the device: its losses, and whether each optimizer's step is finite.
        self.losses: list[Tensor] = []
        self.verdicts: list[Tensor] = []
        self.batches: list[Any] = []
        # Of the previous step, to be read by the CPU: its iteration, its batches, and the verdicts.
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
        self.read_verdict(runner)
        for handle in self.handles:
            handle.remove()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if not self.losses:
            self.statistics_before = [buffer.clone() for buffer in self.statistics]

    def record_loss(self, model: nn.Module, inputs: Any, outputs: Any) -> None:
        """Keep a scalar that is finite if every loss is. torch calls this after the model's forward pass."""
        if model.training and isinstance(outputs, Mapping):
            losses = [value for name, value in outputs.items() if 'loss' in name]
            parts = [part for value in losses for part in ([value] if isinstance(value, Tensor) else value)]
            if parts:
                self.losses.append(torch.stack([part.detach().float().mean() for part in parts]).sum())

    def check_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Skip a step that is not finite. torch calls this before the optimizer's step."""
        # GradScaler checks the gradients of a fused optimizer, which are still scaled, itself.
        found_inf = getattr(optimizer, 'found_inf', None)
        finite = are_finite_on_all_ranks(
            [*self.losses, *(compute_gradient_norms(optimizer) if found_inf is None else [])]
        )
        self.verdicts.append(finite)
        if skips_on_device(optimizer):
            # The kernels skip a step at exactly 1.
            optimizer.found_inf = (~finite if found_inf is None else ~finite | (found_inf.reshape(()) > 0)).float()
        elif not finite:
            optimizer.zero_grad(set_to_none=True)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        self.read_verdict(runner)
        self.batches.append(data_batch)
        wrapper = runner.optim_wrapper
        is_step = not isinstance(wrapper, OptimWrapper) or wrapper.should_update()
        loss_finite = finite = torch.isfinite(torch.stack(self.losses or [torch.zeros(())])).all()
        if is_step:
            # GradScaler does not call an optimizer whose gradients overflow; then only the loss tells.
            finite = torch.stack(self.verdicts or [are_finite_on_all_ranks(self.losses)]).all()
        for buffer, before in zip(self.statistics, self.statistics_before, strict=True):
            buffer.copy_(torch.where(finite, buffer, before))
        if not is_step:
            return
        self.pending = runner.iter + 1, self.batches, AsyncScalars([loss_finite, finite])
        self.losses, self.verdicts, self.batches = [], [], []

    def read_verdict(self, runner: Runner) -> None:
        """Read the previous step's verdict; report a skipped step, and stop where it was one too many."""
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
        images = [name for batch in batches for name in find_suspects(batch)]
        losses_finite, images = zip(*all_gather_object((loss_finite, images)), strict=True)
        names = shorten([name for rank in images for name in rank], MAX_IMAGES_NAMED) or 'unknown'
        cause = 'the gradients are' if all(losses_finite) else 'the loss is'
        print_log(
            f'Iteration {iteration}: {cause} not finite; the step is skipped '
            f'({self.consecutive} in a row; the run stops at {self.max_consecutive}). Images: {names}',
            'current',
            logging.WARNING,
        )
        if self.consecutive >= self.max_consecutive:
            rate = max(rate for rates in runner.optim_wrapper.get_lr().values() for rate in rates)
            raise UserError(
                f'Loss or gradients were not finite in {self.consecutive} steps in a row, up to iteration {iteration}; '
                f'these steps were skipped, and the run has stopped. Lower the learning rate ({rate:.3g}), or check '
                f'the images of the last step ({names}); then continue from an earlier checkpoint with '
                '--resume CHECKPOINT'
            )


def compute_gradient_norms(optimizer: Optimizer) -> list[Tensor]:
    """Return the norm of each gradient that this process holds."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group['params']]
    gradients = [each.grad for each in parameters if each.grad is not None and each.grad.numel()]
    return list(torch._foreach_norm(gradients)) if gradients else []


def are_finite_on_all_ranks(scalars: list[Tensor]) -> Tensor:
    """Return, on the device, whether all scalars are finite on every rank."""
    device = scalars[0].device if scalars else 'cpu'
    stacked = torch.stack([scalar.to(device, torch.float32) for scalar in scalars] or [torch.zeros(())])
    finite = torch.isfinite(stacked).all().int()
    all_reduce(finite, 'min')
    return finite.bool()


def skips_on_device(optimizer: Optimizer) -> bool:
    """Return whether an optimizer skips a step by ``found_inf``. Not SGD: its first step initialises momentum."""
    return isinstance(optimizer, Adam | AdamW) and all(group.get('fused') for group in optimizer.param_groups)


def remove_found_inf(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    """Remove what :meth:`check_step` has set. GradScaler, which sets ``grad_scale`` too, removes its own."""
    if not hasattr(optimizer, 'grad_scale'):
        vars(optimizer).pop('found_inf', None)
