"""Merge the parameter groups of an optimizer, and use torch's fused kernels.

With ``paramwise_cfg``, mmengine's constructor makes one group per parameter, hundreds for a detector. torch's
optimizers launch kernels for each group, and LR schedulers and logging hooks iterate over all groups at each step.
"""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.registry import OPTIMIZERS
from torch import nn
from torch.optim import Adam, AdamW

from ..registry import OPTIM_WRAPPER_CONSTRUCTORS

# Keys of a parameter group that are not settings of the optimizer.
NOT_SETTINGS = ('params', 'param_name', 'lr_mult', 'decay_mult')
# Settings that choose the kernels of an optimizer step. The results of kernels differ only by rounding.
KERNEL_SETTINGS = ('fused', 'foreach')


class MergedGroupsMixin:
    """Mixin for optimizer wrapper constructors: it merges groups with equal settings and uses fused kernels."""

    def __call__(self, model: nn.Module) -> OptimWrapper:
        is_kernel_unset = {*KERNEL_SETTINGS, 'differentiable'}.isdisjoint(self.optimizer_cfg)
        if is_kernel_unset and can_be_fused(self.optimizer_cfg, model):
            self.optimizer_cfg = {**self.optimizer_cfg, 'fused': True}
        return super().__call__(model)

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = '', **kwargs: Any) -> None:
        """Add a module's parameters to the groups ``params``. After the last parameter, merge the groups."""
        super().add_params(params, module, prefix=prefix, **kwargs)
        # mmengine calls this method for submodules too, with their names as prefix.
        if prefix:
            return
        base = {'lr': self.base_lr, 'weight_decay': self.base_wd}
        defaults = {name: value for name, value in base.items() if value is not None}
        merged: list[tuple[dict, dict]] = []
        for group in params:
            settings = defaults | {name: value for name, value in group.items() if name not in NOT_SETTINGS}
            members = next((members for other, members in merged if other == settings), None)
            if members is None:
                merged.append((settings, members := {}))
            # In a dict, a parameter that several modules share occurs once.
            members |= dict.fromkeys(group['params'])
        params[:] = [{'params': list(members), **settings} for settings, members in merged]


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedParamsOptimWrapperConstructor(MergedGroupsMixin, DefaultOptimWrapperConstructor):
    """mmengine's constructor with merged parameter groups and, if possible, a fused Adam or AdamW.

    Set ``optim_wrapper=dict(constructor='mmgcvit.GroupedParamsOptimWrapperConstructor', ...)``. All other keys are the
    same as for mmengine's constructor. To choose torch's kernels, set ``optimizer.fused`` or ``optimizer.foreach``.
    """


def can_be_fused(settings: Mapping[str, Any], model: nn.Module) -> bool:
    """Return whether an optimizer is Adam or AdamW, and a trial step with its fused kernel works for the model."""
    optimizer_type = settings.get('type')
    # Not SGD: if GradScaler skips the first fused step of SGD, its momentum starts from uninitialised memory.
    if (OPTIMIZERS.get(optimizer_type) if isinstance(optimizer_type, str) else optimizer_type) not in (Adam, AdamW):
        return False
    for device, dtype in {(parameter.device, parameter.dtype) for parameter in model.parameters()}:
        probe = nn.Parameter(torch.zeros(1, device=device, dtype=dtype))
        probe.grad = torch.zeros_like(probe)
        try:
            OPTIMIZERS.build({**settings, 'params': [probe], 'fused': True}).step()
        except Exception:  # If the settings are invalid, building the optimizer raises this error again.
            return False
    return True
