"""Copy losses to the CPU asynchronously and log them an iteration later, so that logging never synchronises the GPU."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from ...mmengine_utils import list_optim_wrappers
from ...registry import HOOKS


class AsyncScalars:
    """Scalars on their way from the device to the CPU."""

    def __init__(self, scalars: Sequence[Tensor]) -> None:
        device = scalars[0].device
        stacked = torch.stack([scalar.detach().to(device, torch.float32).reshape(()) for scalar in scalars])
        self.values = stacked.to('cpu', non_blocking=stacked.is_cuda)
        self.copied = torch.cuda.Event() if stacked.is_cuda else None
        if self.copied is not None:
            self.copied.record()

    def read(self) -> list[float]:
        """Return the values; wait for the copy where it has not finished."""
        if self.copied is not None:
            self.copied.synchronize()
        return self.values.tolist()


@HOOKS.register_module()
class AsyncLossLogHook(RuntimeInfoHook):
    """mmengine's ``RuntimeInfoHook``, which reads losses and gradient norms one iteration later.

    mmengine's calls ``.item()`` on each loss, and its optimizer wrapper on the gradient norm, so that the CPU waits for
    the GPU in every iteration. Values that are not finite are not logged, so that the log's means stay finite.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.scalars: AsyncScalars | None = None
        self.grad_norms: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Take the gradient norms from the optimizer wrappers, which log none where clipping returns none."""
        super().before_train(runner)
        self.intervals = {hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)}
        for wrapper in list_optim_wrappers(runner):
            if getattr(wrapper, 'clip_grad_kwargs', None):
                wrapper.clip_func = partial(self.clip, wrapper.clip_func, wrapper.grad_name)

    def clip(self, clip: Callable[..., Tensor | None], name: str, gradients: Sequence[Tensor], **settings: Any) -> None:
        """Clip gradients and keep their norm on the device."""
        norm = clip(gradients, **settings)
        if norm is not None:
            self.grad_norms[name] = norm

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        self.log(runner)
        scalars = {**self.grad_norms, **(outputs or {})}
        self.grad_norms = {}
        if scalars:
            self.names = [f'train/{name}' for name in scalars]
            self.scalars = AsyncScalars([torch.as_tensor(scalar) for scalar in scalars.values()])
        is_logged = any(self.every_n_inner_iters(batch_idx, interval) for interval in self.intervals)
        if is_logged or self.end_of_epoch(runner.train_dataloader, batch_idx) or self.is_last_train_iter(runner):
            self.log(runner)

    def log(self, runner: Runner) -> None:
        """Log the scalars that are pending."""
        if self.scalars is not None:
            for name, value in zip(self.names, self.scalars.read(), strict=True):
                if abs(value) < float('inf'):
                    runner.message_hub.update_scalar(name, value)
            self.scalars = None
