"""Layer-wise learning rate decay for detectors and segmentors.

mmdet's and mmseg's optimizer wrapper constructors know the layers of their own backbones only. mmpretrain's
calls ``get_layer_depth`` of the model, which only classifiers have. The constructor in this file calls the backbone's.
"""

from functools import partial
from typing import Any

from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor
from torch import nn

from ..errors import UserError, shorten
from ..registry import OPTIM_WRAPPER_CONSTRUCTORS
from .optim import MergedGroupsMixin


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(MergedGroupsMixin, LearningRateDecayOptimWrapperConstructor):
    """mmpretrain's constructor for models with a ``backbone`` of this package. It merges parameter groups too.

    With ``optim_wrapper=dict(constructor='mmgcvit.LayerDecayOptimWrapperConstructor', paramwise_cfg=dict(
    layer_decay_rate=0.9, norm_decay_mult=0.0))``, each block has 0.9 times the learning rate of the next block. Neck
    and heads have the full learning rate. mmpretrain's constructor documents the other keys of ``paramwise_cfg``.
    """

    def add_params(self, params: list[dict], module: nn.Module, **kwargs: Any) -> None:
        """Add a module's parameters to the groups, with learning rates by the backbone's ``get_layer_depth``."""
        keys = self.paramwise_cfg.get('custom_keys', {})
        ineffective = [key for key, settings in keys.items() if 'lr_mult' in settings]
        if ineffective:
            raise UserError(
                'paramwise_cfg.custom_keys: layer-wise decay ignores lr_mult. Remove every lr_mult of custom_keys '
                f'({shorten(ineffective)})'
            )
        if 'get_layer_depth' not in kwargs:
            kwargs['get_layer_depth'] = partial(module.backbone.get_layer_depth, prefix='backbone.')
        super().add_params(params, module, **kwargs)
