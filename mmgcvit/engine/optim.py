"""Few groups of parameters for the optimizer, whose step is fused where torch can.

mmengine's constructor makes a group of each parameter, hundreds for a detector, and torch's optimizers take one group
after the other: kernels for many parameters at once get one, and schedules and logs walk over all groups at each step.
"""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn
from torch.optim import Adam, AdamW

from ..registry import OPTIM_WRAPPER_CONSTRUCTORS

# What constructors note in a group beside the settings that they have made of it; optimizers read none of these.
NOTES = ('params', 'param_name', 'lr_mult', 'decay_mult')
# How a step is computed, in numbers that differ by rounding; the rest of a group's settings says what is computed.
KERNELS = ('fused', 'foreach')


class MergesGroups:
    """For a constructor of mmengine's kind: has its groups of equal settings merged, and its optimizer fused."""

    def __call__(self, model: nn.Module) -> OptimWrapper:
        is_free = {*KERNELS, 'differentiable'}.isdisjoint(self.optimizer_cfg)
        if is_free and can_be_fused(self.optimizer_cfg, model):
            self.optimizer_cfg = {**self.optimizer_cfg, 'fused': True}
        return super().__call__(model)

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs: Any) -> None:
        """Add a module's parameters to the groups; the whole model's call, which has no prefix, merges them."""
        super().add_params(params, module, prefix=prefix, **kwargs)
        if prefix:
            return
        given = {'lr': self.base_lr, 'weight_decay': self.base_wd}
        defaults = {name: value for name, value in given.items() if value is not None}
        merged: list[tuple[dict, dict]] = []
        for group in params:
            settings = defaults | {name: value for name, value in group.items() if name not in NOTES}
            members = next((members for found, members in merged if found == settings), None)
            if members is None:
                merged.append((settings, members := {}))
            # A parameter that several modules share comes once.
            members |= dict.fromkeys(group['params'])
        params[:] = [{'params': list(members), **settings} for settings, members in merged]


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedParamsOptimWrapperConstructor(MergesGroups, DefaultOptimWrapperConstructor):
    """mmengine's constructor, whose groups of equal settings become one, and whose Adam or AdamW is fused if it can be.

    ``optim_wrapper=dict(constructor='mmgcvit.GroupedParamsOptimWrapperConstructor', ...)``, all else as for mmengine's.
    Set ``optimizer.fused`` or ``optimizer.foreach`` to choose torch's kernels yourself.
    """


def can_be_fused(settings: Mapping[str, Any], model: nn.Module) -> bool:
    """Whether an optimizer is Adam or AdamW and torch has a fused step of it where a model is: versions differ."""
    kind = settings.get('type')
    # A fused SGD whose first step GradScaler leaves out begins with whatever its momentum's memory held.
    if (OPTIMIZERS.get(kind) if isinstance(kind, str) else kind) not in (Adam, AdamW):
        return False
    for device, dtype in {(parameter.device, parameter.dtype) for parameter in model.parameters()}:
        number = nn.Parameter(torch.zeros(1, device=device, dtype=dtype))
        number.grad = torch.zeros_like(number)
        try:
            OPTIMIZERS.build({**settings, 'params': [number], 'fused': True}).step()
        except Exception:  # Whatever it says, also of wrong settings: with these the optimizer itself is built next.
            return False
    return True
