"""Gradients of a step of the optimizer that is not complete when a checkpoint is saved.

Where gradients of several iterations are added up, epochs and intervals of checkpoints need not end with a step.
"""

from typing import Any

import torch.distributed as dist
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import CheckpointHook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

Gradients = dict[str, Tensor]


def is_within_a_step(runner: Any) -> bool:
    """Whether gradients wait for more of them. A model that is shared out keeps its own, which are not seen here."""
    wrapper = runner.optim_wrapper
    return isinstance(wrapper, OptimWrapper) and not hasattr(runner, 'strategy') and not wrapper.should_update()


def is_saved_now(runner: Any) -> bool:
    """Whether a checkpoint hook that counts iterations saves after this one."""
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook) and not hook.by_epoch]
    return any(
        hook.every_n_train_iters(runner, hook.interval, hook.save_begin)
        or (hook.save_last and hook.is_last_train_iter(runner))
        for hook in hooks
    )


def gather_gradients(runner: Any) -> list[Gradients]:
    """The gradients of each process, by rank; nothing on other ranks than 0. All processes call it together."""
    own = gradients_of(plain_model(runner))
    if get_world_size() == 1:
        return [own]
    everyones = [None] * get_world_size() if get_rank() == 0 else None
    dist.gather_object(own, everyones)
    return everyones or []


def gradients_of(model: nn.Module) -> Gradients:
    """Copies of a model's gradients on the CPU, by the parameters' names."""
    named = ((name, parameter.grad) for name, parameter in model.named_parameters())
    return {name: gradient.detach().cpu().clone() for name, gradient in named if gradient is not None}


def restore_gradients(runner: Any, gradients: Gradients) -> None:
    """Give a model's parameters the gradients that were saved of this process."""
    for name, parameter in plain_model(runner).named_parameters():
        if name in gradients:
            parameter.grad = gradients[name].to(parameter.device, parameter.dtype)


def plain_model(runner: Any) -> nn.Module:
    """A runner's model without the wrapper for several processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
