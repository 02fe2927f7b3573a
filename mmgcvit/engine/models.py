"""A run's model, whatever wraps it."""

from typing import Any

from mmengine.model import is_model_wrapper
from torch import nn


def plain_model(runner: Any) -> nn.Module:
    """A runner's model without the wrapper for several processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model
