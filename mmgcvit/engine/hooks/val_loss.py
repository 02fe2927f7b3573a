"""A hook that logs the loss of the validation images."""

from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ...mmengine_utils import unwrap_model
from ...registry import HOOKS


@HOOKS.register_module()
class ValLossHook(Hook):
    """Log a classifier's ``val_loss``, the mean loss of the validation images, by a second forward pass."""

    def before_val_epoch(self, runner: Runner) -> None:
        self.losses: list[torch.Tensor] = []

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        model = unwrap_model(runner)
        losses = model(**model.data_preprocessor(data_batch, training=False), mode='loss')
        self.losses += [model.parse_losses(losses)[0]] * len(outputs)

    def after_val_epoch(self, runner: Runner, metrics: Any = None) -> None:
        loss = torch.stack(self.losses).mean()
        all_reduce(loss, 'mean')
        runner.message_hub.update_scalar('val/val_loss', loss.item())
