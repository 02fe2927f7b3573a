"""Copy losses to the CPU asynchronously and log them an iteration later, so that the CPU rarely waits for the GPU."""

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
    """Scalars that are copied to the CPU asynchronously, as float32."""

    def __init__(self, scalars: Sequence[Tensor]) -> None:
        device = scalars[0].device
        stacked = torch.stack([scalar.detach().to(device, torch.float32).reshape(()) for scalar in scalars])
        self.values = stacked.to('cpu', non_blocking=stacked.is_cuda)
        self.copied = torch.cuda.Event() if stacked.is_cuda else None
        if self.copied is not None:
            self.copied.record()

    def read(self) -> list[float]:
        """Wait for the copy to finish and return the values."""
        if self.copied is not None:
            self.copied.synchronize()
        return self.values.tolist()


@HOOKS.register_module()
class AsyncLossLogHook(RuntimeInfoHook):
    """Replace mmengine's ``RuntimeInfoHook``: log losses and gradient norms one iteration later.

    mmengine immediately converts each loss and gradient norm to a Python number, so that the CPU waits for the GPU in
    every iteration. This hook waits only for the previous iteration, except in iterations that ``LoggerHook`` logs or
    that end an epoch or the training. NaN and infinite values are not logged, so that averages stay finite.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.scalars: AsyncScalars | None = None
        self.grad_norms: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Make optimizer wrappers call :meth:`clip`. It returns None, so that the wrappers do not log the norms."""
        super().before_train(runner)
        self.intervals = {hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)}
        for wrapper in list_optim_wrappers(runner):
            if getattr(wrapper, 'clip_grad_kwargs', None):
                wrapper.clip_func = partial(self.clip, wrapper.clip_func, wrapper.grad_name)

    def clip(self, clip_func: Callable[..., Tensor | None], name: str, params: Sequence[Tensor], **kwargs: Any) -> None:
        """Clip gradients with ``clip_func``, and keep their norm on the device until it is logged under ``name``."""
        norm = clip_func(params, **kwargs)
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
        """Wait for the scalars that are not logged yet, and log them."""
        if self.scalars is not None:
            for name, value in zip(self.names, self.scalars.read(), strict=True):
                if abs(value) < float('inf'):
                    runner.message_hub.update_scalar(name, value)
            self.scalars = None
