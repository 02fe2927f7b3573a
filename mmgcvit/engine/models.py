"""A run's model, whatever wraps it, and what of it training changes without gradients."""

from typing import Any

from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase


def plain_model(runner: Any) -> nn.Module:
    """A runner's model without the wrapper for several processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def running_statistics(model: nn.Module) -> dict[str, Tensor]:
    """What normalisation layers keep of the batches that they have seen, by its name in the model."""
    return {
        f'{prefix}.{name}' if prefix else name: buffer
        for prefix, module in model.named_modules()
        if isinstance(module, _NormBase)
        for name, buffer in module.named_buffers(recurse=False)
    }
