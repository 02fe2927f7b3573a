"""Skip optimizer steps whose gradients are NaN or infinite, and stop a run after several
consecutive ones.
"""

from itertools import chain
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer

from ...errors import MANY, UserError, shorten
from ...host.runners import (
    ends_step,
    get_image_name,
    list_optim_wrappers,
    log_warning,
    unwrap_model,
)
from ...registry import HOOKS

SKIPPED_STEPS = 'skipped_steps'  # key of the number of skipped steps in mmengine's message hub
# The buffers of batch and instance norms.
RUNNING_STATISTICS = ('running_mean', 'running_var', 'num_batches_tracked')


@HOOKS.register_module()
class SkipNonFiniteStepHook(Hook):
    """Skip an optimizer step whose gradients are NaN or infinite. Stop the run after several
    consecutive ones.

    A skipped step changes no weights, no optimizer state and no running statistics of normalisation
    layers. All ranks skip the same steps. With gradient accumulation, a step has several
    iterations. The log names a skipped step's images. ``GradScaler`` skips steps itself: those with
    a finite loss, by which it adjusts its scale, do not count. After ``max_consecutive`` skipped
    steps, raise a UserError.
    """

    # Run before the hooks that average the weights or log the outputs.
    priority = 'HIGHEST'

    def __init__(self, max_consecutive: int = 3):
        self.max_consecutive = max_consecutive
        self.consecutive = 0

    def before_train(self, runner: Runner) -> None:
        buffers = unwrap_model(runner).named_buffers()
        self.statistics = [x for name, x in buffers if name.endswith(RUNNING_STATISTICS)]
        for wrapper in list_optim_wrappers(runner):
            wrapper.optimizer.register_step_pre_hook(self.check_step)
        self.start_step()

    def start_step(self) -> None:
        self.images: list[str] = []
        self.statistics_before = [buffer.clone() for buffer in self.statistics]
        self.are_losses_finite = True
        # Whether the gradients are finite of each optimizer whose gradients are checked here
        self.finite_steps: list[bool] = []

    def before_train_iter(self, runner: Runner, data_batch: Any, **kwargs: Any) -> None:
        samples = data_batch.get('data_samples')
        if isinstance(samples, list):  # not the dict of a semi-supervised detector
            self.images += map(get_image_name, samples)

    def check_step(self, optimizer: Optimizer, *_: object) -> None:
        """Remove the gradients if one of them is not finite.

        torch calls this before each optimizer step.
        """
        # GradScaler leaves the gradients of a fused optimizer scaled. It checks them itself and
        # sets found_inf.
        if getattr(optimizer, 'found_inf', None) is not None:
            return
        trained = []
        for group in optimizer.param_groups:
            trained += [x for x in group['params'] if x.grad is not None and x.grad.numel()]
        # With this limit, finite gradients are multiplied by 1.
        norm = clip_grad_norm_(trained, float('inf'))
        # With FullyShardedDataParallel each rank has other gradients.
        self.finite_steps.append(is_true_on_all_ranks(bool(norm.isfinite())))
        if not self.finite_steps[-1]:
            optimizer.zero_grad(set_to_none=True)

    def after_train_iter(self, runner: Runner, outputs: dict[str, Any], **kwargs: Any) -> None:
        # The total loss is finite only if each loss is. One check waits for the GPU only once.
        if not torch.as_tensor(outputs.get('loss', 0)).isfinite():
            self.are_losses_finite = False
            for name, value in list(outputs.items()):  # other hooks log the average of them
                if not torch.as_tensor(value).isfinite().all():
                    del outputs[name]
        is_finite = self.are_losses_finite
        is_step_done = ends_step(runner)
        if self.finite_steps:
            is_finite = all(self.finite_steps)
        elif is_step_done:  # GradScaler has checked the gradients
            is_finite = is_true_on_all_ranks(is_finite)
        if not is_finite:
            for buffer, before in zip(self.statistics, self.statistics_before, strict=True):
                buffer.copy_(before)
        if is_step_done:
            self.report_step(runner, is_finite)
            self.start_step()

    def report_step(self, runner: Runner, is_finite: bool) -> None:
        """Log a skipped step. Raise a UserError after ``max_consecutive`` of them."""
        if is_finite:
            self.consecutive = 0
            return
        self.consecutive += 1
        num_skipped = runner.message_hub.runtime_info.get(SKIPPED_STEPS, 0) + 1
        runner.message_hub.update_info(SKIPPED_STEPS, num_skipped)
        images = chain.from_iterable(all_gather_object(self.images))
        names = shorten(list(images), MANY) or 'unknown'
        log_warning(
            f'Iteration {runner.iter + 1}: loss or gradients are not finite, so the step was '
            f'skipped ({self.consecutive} in a row). Images: {names}'
        )
        if self.consecutive < self.max_consecutive:
            return
        lr = max(map(max, runner.optim_wrapper.get_lr().values()))
        raise UserError(
            f'Loss or gradients were NaN or infinite in {self.consecutive} consecutive steps, up '
            f'to iteration {runner.iter + 1}. Lower the learning rate (now {lr:.3g}), or check the '
            f'images of the last step ({names}). Then resume the run, maybe from an earlier '
            'checkpoint. To draw other images and random numbers, set '
            f'randomness.seed={runner.seed + 1}',
            arguments=['resume', 'cfg_options'],
        )


def is_true_on_all_ranks(value: bool) -> bool:
    """Return whether a value is True on all ranks."""
    flag = torch.tensor(int(value))
    all_reduce(flag, 'min')
    return bool(flag)
