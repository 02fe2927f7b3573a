"""Gradients of a step of the optimizer that is not complete when a checkpoint is saved.

Where gradients of several iterations are added up, epochs and intervals of checkpoints need not end with a step.
"""

from typing import Any

import torch
from mmengine.dist import all_gather_object, gather, get_rank, get_world_size
from mmengine.hooks import CheckpointHook
from mmengine.optim import OptimWrapper
from torch import Tensor

from .models import plain_model

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


def is_saved_after_epoch(runner: Any) -> bool:
    """Whether a checkpoint hook that counts epochs saves after this one."""
    hooks = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook) and hook.by_epoch]
    return any(
        hook.every_n_epochs(runner, hook.interval, hook.save_begin)
        or (hook.save_last and hook.is_last_train_epoch(runner))
        for hook in hooks
    )


def may_be_the_best(runner: Any) -> bool:
    """Whether a validation may save: the last checkpoint once more, when it names a new best one."""
    return any(isinstance(hook, CheckpointHook) and hook.save_best for hook in runner.hooks)


def gather_gradients(runner: Any) -> list[Gradients]:
    """The gradients of each process, by rank, on the CPU; nothing on other ranks than 0. All processes call it.

    One parameter after the other: all at once would take the memory of process 0's device.
    """
    parameters = dict(plain_model(runner).named_parameters())
    own = [name for name, parameter in parameters.items() if parameter.grad is not None]
    # A process may have none for a part of the model that its images did not need.
    names = dict.fromkeys(name for names in all_gather_object(own) for name in names)
    everyones: list[Gradients] = [{} for _ in range(get_world_size())]
    for name in names:
        gradient = parameters[name].grad
        sent = torch.zeros_like(parameters[name]) if gradient is None else gradient
        for gradients, received in zip(everyones, gather(sent.detach().contiguous()), strict=False):
            gradients[name] = received.cpu().clone()
    return everyones if get_rank() == 0 else []


def restore_gradients(runner: Any, gradients: Gradients) -> None:
    """Give a model's parameters the gradients that were saved of this process."""
    for name, parameter in plain_model(runner).named_parameters():
        if name in gradients:
            parameter.grad = gradients[name].to(parameter.device, parameter.dtype)
