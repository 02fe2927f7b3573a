"""Layer-wise learning rate decay for detectors and segmentors.

mmdet's and mmseg's constructors know only the layers of their own backbones; mmpretrain's asks the model, which must be
a classifier. Here it asks the backbone of any model.
"""

from functools import partial
from typing import Any

from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor
from torch import nn

from ..errors import UserError
from ..registry import OPTIM_WRAPPER_CONSTRUCTORS
from .optim import MergesGroups


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(MergesGroups, LearningRateDecayOptimWrapperConstructor):
    """mmpretrain's constructor for any model with a ``backbone`` of this package, with merged parameter groups.

    ``optim_wrapper=dict(constructor='mmgcvit.LayerDecayOptimWrapperConstructor', paramwise_cfg=dict(
    layer_decay_rate=0.9, norm_decay_mult=0.0))``: each block's learning rate is 0.9 of the next one's; neck and heads
    have the full one. Other keys of ``paramwise_cfg`` are mmpretrain's.
    """

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: Any) -> None:
        """Add a module's parameters to the groups; the outermost call passes the backbone's ``get_layer_depth``."""
        keys = self.paramwise_cfg.get('custom_keys', {})
        refused = [key for key, settings in keys.items() if 'lr_mult' in settings]
        if refused:
            raise UserError(
                f'paramwise_cfg.custom_keys: lr_mult of {", ".join(refused)} has no effect with layer-wise decay; '
                'remove the keys'
            )
        if 'get_layer_depth' not in kwargs:
            kwargs['get_layer_depth'] = partial(module.backbone.get_layer_depth, prefix='backbone.')
        super().add_params(params, module, **kwargs)
