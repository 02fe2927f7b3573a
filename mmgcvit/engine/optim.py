"""Merge the parameter groups of an optimizer, and fuse its step.

mmengine's constructor makes a group of each parameter, hundreds for a detector. torch's optimizers launch kernels group
by group, and LR schedulers and logs iterate over all groups at each step.
"""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn
from torch.optim import Adam, AdamW

from ..registry import OPTIM_WRAPPER_CONSTRUCTORS

# Keys that constructors add to a group and optimizers do not read.
NOTES = ('params', 'param_name', 'lr_mult', 'decay_mult')
# Settings for how a step is computed; results differ by rounding.
KERNELS = ('fused', 'foreach')


class MergesGroups:
    """Mixin for optimizer wrapper constructors: merge groups of equal settings and fuse the optimizer."""

    def __call__(self, model: nn.Module) -> OptimWrapper:
        is_free = {*KERNELS, 'differentiable'}.isdisjoint(self.optimizer_cfg)
        if is_free and can_be_fused(self.optimizer_cfg, model):
            self.optimizer_cfg = {**self.optimizer_cfg, 'fused': True}
        return super().__call__(model)

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs: Any) -> None:
        """Add a module's parameters to the groups; the outermost call, without prefix, merges them."""
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
            # Shared parameters once.
            members |= dict.fromkeys(group['params'])
        params[:] = [{'params': list(members), **settings} for settings, members in merged]


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedParamsOptimWrapperConstructor(MergesGroups, DefaultOptimWrapperConstructor):
    """mmengine's constructor with merged parameter groups and, if possible, a fused Adam or AdamW.

    ``optim_wrapper=dict(constructor='mmgcvit.GroupedParamsOptimWrapperConstructor', ...)``; other keys as for
    mmengine's. Set ``optimizer.fused`` or ``optimizer.foreach`` to choose torch's kernels.
    """


def can_be_fused(settings: Mapping[str, Any], model: nn.Module) -> bool:
    """Whether an optimizer is Adam or AdamW and this torch can fuse it on a model's devices."""
    kind = settings.get('type')
    # Not SGD: if GradScaler skips its first fused step, momentum starts from uninitialised memory.
    if (OPTIMIZERS.get(kind) if isinstance(kind, str) else kind) not in (Adam, AdamW):
        return False
    for device, dtype in {(parameter.device, parameter.dtype) for parameter in model.parameters()}:
        number = nn.Parameter(torch.zeros(1, device=device, dtype=dtype))
        number.grad = torch.zeros_like(number)
        try:
            OPTIMIZERS.build({**settings, 'params': [number], 'fused': True}).step()
        except Exception:  # Wrong settings raise again when the optimizer is built.
            return False
    return True
