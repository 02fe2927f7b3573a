"""Numbers that the device computes in one iteration and the host reads in the next: neither waits for the other."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook
from mmengine.runner import Runner
from torch import Tensor

from ..hosts.mmengine import optim_wrappers
from ..registry import HOOKS


class LateNumbers:
    """Numbers on their way from the device; read an iteration later, they have long arrived."""

    def __init__(self, numbers: Sequence[Tensor]) -> None:
        device = numbers[0].device
        together = torch.stack([number.detach().to(device, torch.float32).reshape(()) for number in numbers])
        # From a GPU into pinned memory, into which alone the copy is made while the host goes on.
        self.numbers = together.to('cpu', non_blocking=together.is_cuda)
        self.arrival = torch.cuda.Event() if together.is_cuda else None
        if self.arrival is not None:
            self.arrival.record()

    def read(self) -> list[float]:
        """The numbers; the host waits where they have not arrived."""
        if self.arrival is not None:
            self.arrival.synchronize()
        return self.numbers.tolist()


@HOOKS.register_module()
class LateRuntimeInfoHook(RuntimeInfoHook):
    """mmengine's hook that notes losses for the log, which reads them from the device an iteration later.

    mmengine's reads each loss, and its optimizer wrapper the norm of clipped gradients, within the iteration, and waits
    for all that the device has to do till then. Here only lines of the log, checkpoints and the ends of epochs wait.
    Numbers that are not finite are not noted, so that the log's means stay finite.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.numbers: LateNumbers | None = None
        self.norms: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Have the optimizer wrappers leave the norm to this hook; mmengine's note none where there is none."""
        super().before_train(runner)
        self.intervals = {hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)}
        self.found = [
            (each, each.clip_func) for each in optim_wrappers(runner) if getattr(each, 'clip_grad_kwargs', None)
        ]
        for wrapper, clip in self.found:
            wrapper.clip_func = partial(self.clip, clip, wrapper.grad_name)

    def clip(self, clip: Callable[..., Tensor | None], name: str, gradients: Sequence[Tensor], **settings: Any) -> None:
        norm = clip(gradients, **settings)
        if norm is not None:
            self.norms[name] = norm

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        self.settle(runner)
        numbers = {**self.norms, **(outputs or {})}
        self.norms = {}
        if numbers:
            self.names = [f'train/{name}' for name in numbers]
            self.numbers = LateNumbers([torch.as_tensor(number) for number in numbers.values()])
        is_logged = any(self.every_n_inner_iters(batch_idx, interval) for interval in self.intervals)
        if is_logged or self.end_of_epoch(runner.train_dataloader, batch_idx) or self.is_last_train_iter(runner):
            self.settle(runner)

    def settle(self, runner: Runner) -> None:
        """Note what an iteration has left to be read."""
        if self.numbers is not None:
            for name, number in zip(self.names, self.numbers.read(), strict=True):
                if abs(number) < float('inf'):
                    runner.message_hub.update_scalar(name, number)
            self.numbers = None

    before_save_in_all = settle

    def after_train(self, runner: Runner) -> None:
        super().after_train(runner)
        self.settle(runner)
        for wrapper, clip in self.found:
            wrapper.clip_func = clip
