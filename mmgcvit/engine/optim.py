"""Optimizer wrappers for mixed precision, layer-wise learning rate decay, merged parameter groups
and fused kernels.

With ``paramwise_cfg``, mmengine's constructor makes one group per parameter, hundreds for a
detector. torch's optimizers launch kernels for each group, and LR schedulers and logging hooks
iterate over all groups at each step.
"""

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper, DefaultOptimWrapperConstructor, OptimWrapper
from torch import nn
from torch.optim import Adam, AdamW

from ..errors import UserError
from ..registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS

# Lowest compute capability of GPUs that have bfloat16. torch reports bfloat16 on older GPUs, which
# emulate it slowly.
MIN_BFLOAT16_CAPABILITY = (8, 0)
# Keys of a parameter group that are not settings of the optimizer.
NOT_SETTINGS = ('params', 'param_name', 'lr_mult', 'decay_mult')
FUSED_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@OPTIM_WRAPPERS.register_module(name='AutoPrecisionOptimWrapper')
def build_auto_precision_wrapper(dtype: str | None = None, **kwargs: Any) -> OptimWrapper:
    """Build an optimizer wrapper for ``dtype``, by default bfloat16 or, on older GPUs, float16. On
    a CPU use float32.

    mmengine's ``AmpOptimWrapper`` fails without a GPU, and with bfloat16 it scales the loss too.
    The scale doubles every 2,000 steps until it overflows (at step 222,000 with torch's defaults),
    so it is disabled for bfloat16. The other arguments are those of ``AmpOptimWrapper``.
    """
    if torch.cuda.is_available():
        is_supported = torch.cuda.get_device_capability() >= MIN_BFLOAT16_CAPABILITY
        dtype = dtype or ('bfloat16' if is_supported else 'float16')
        if dtype == 'bfloat16':
            kwargs['loss_scale'] = {'enabled': False}
        return AmpOptimWrapper(dtype=dtype, **kwargs)
    print_log('No GPU: training in float32 instead of mixed precision.', 'current')
    kwargs.pop('loss_scale', None)
    return OptimWrapper(**kwargs)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedParamsOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's constructor with merged parameter groups and, on CUDA, a fused Adam or AdamW.

    Set ``optim_wrapper=dict(constructor='mmgcvit.GroupedParamsOptimWrapperConstructor', ...)``. All
    other keys are the same as for mmengine's constructor. To choose torch's kernels, set
    ``optimizer.fused`` or ``optimizer.foreach``. ``paramwise_cfg`` may also have
    ``layer_decay_rate`` as in mmpretrain, for any backbone with ``get_layer_depth``.
    """

    optimizer_cfg: dict[str, Any]

    def __call__(self, model: nn.Module) -> OptimWrapper:
        is_kernel_unset = {'fused', 'foreach', 'differentiable'}.isdisjoint(self.optimizer_cfg)
        if is_kernel_unset and can_be_fused(self.optimizer_cfg, model):
            self.optimizer_cfg = {**self.optimizer_cfg, 'fused': True}
        return super().__call__(model)

    def add_params(
        self, params: list[dict[str, Any]], module: nn.Module, prefix: str = '', **kwargs: Any
    ) -> None:
        """Add a module's parameters to the groups ``params``.

        After the last parameter, merge the groups.
        """
        super().add_params(params, module, prefix=prefix, **kwargs)
        # mmengine calls this method for submodules too, with their names as prefix.
        if prefix:
            return
        scales: dict[nn.Parameter, float] = {}
        decay_rate = self.paramwise_cfg.get('layer_decay_rate', 1)
        if decay_rate != 1:
            scales = compute_lr_scales(module, decay_rate)
        # For each different group, its settings and its parameters in order: in a dict, one that
        # several modules share occurs once.
        members_by_settings: dict[tuple[tuple[str, Any], ...], dict[nn.Parameter, None]] = {}
        for group in params:
            settings = {'lr': self.base_lr, 'weight_decay': self.base_wd, **group}
            for name in NOT_SETTINGS:
                settings.pop(name, None)
            scale = scales.get(group['params'][0], 1)
            if scale != 1:
                settings['lr'] *= scale
            given = tuple(item for item in settings.items() if item[1] is not None)
            members_by_settings.setdefault(given, {}).update(dict.fromkeys(group['params']))
        params.clear()
        for given, members in members_by_settings.items():
            params.append({'params': list(members), **dict(given)})


def compute_lr_scales(model: nn.Module, decay_rate: float) -> dict[nn.Parameter, float]:
    """Return ``decay_rate`` to the power of the number of layers after each parameter's layer in
    the backbone.
    """
    scales = {}
    # Modules come before the modules in them, so the innermost one that knows a parameter's layer
    # decides.
    for module in model.modules():
        if hasattr(module, 'get_layer_depth'):
            backbone: Any = module
            for name, parameter in module.named_parameters():
                depth, num_depths = backbone.get_layer_depth(name)
                scales[parameter] = decay_rate ** (num_depths - 1 - depth)
    if not scales:
        raise UserError(
            'layer_decay_rate: the backbone has no get_layer_depth. Remove the rate from '
            'paramwise_cfg'
        )
    return scales


def can_be_fused(settings: Mapping[str, Any], model: nn.Module) -> bool:
    """Return whether an optimizer is Adam or AdamW, and all parameters are on CUDA in a dtype of
    the fused kernel.
    """
    # Not SGD: if GradScaler skips the first fused step of SGD, its momentum starts from
    # uninitialised memory.
    is_adam = settings.get('type') in ('Adam', 'AdamW', Adam, AdamW)
    return is_adam and all(
        weight.is_cuda and weight.dtype in FUSED_DTYPES for weight in model.parameters()
    )
