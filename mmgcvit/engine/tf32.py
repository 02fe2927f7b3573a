"""TF32, in which NVIDIA GPUs since Ampere multiply float32: with the inputs' mantissas rounded to 10 bits."""

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..registry import HOOKS


@HOOKS.register_module()
class TF32Hook(Hook):
    """Allow or forbid TF32 in matrix products and convolutions for as long as a runner trains, validates or tests.

    mmengine has no setting for it. Left alone, torch allows TF32 in convolutions and, since version 1.12, forbids it in
    matrix products, of which transformers are made. Only computation on GPUs is concerned, and in mixed precision only
    what stays in float32. Once the run is over, torch's settings are what they were before.

    Args:
        enabled: Whether both may use it. In this project's configs: ``default_hooks.tf32.enabled``.

    Raises:
        TypeError: ``enabled`` is no bool.
    """

    priority = 'VERY_HIGH'

    def __init__(self, enabled: bool) -> None:
        if not isinstance(enabled, bool):
            raise TypeError(f'TF32Hook: enabled={enabled!r}; expected True or False')
        self.enabled = enabled
        self.found: tuple[bool, bool] | None = None

    def before_run(self, runner: Runner) -> None:
        """Make the setting; ``set_float32_matmul_precision`` would concern CPUs too."""
        self.found = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32)
        allow(self.enabled, self.enabled)

    def after_run(self, runner: Runner) -> None:
        """Restore what was found."""
        allow(*self.found)


def allow(in_products: bool, in_convolutions: bool) -> None:
    """Allow or forbid TF32 in this process."""
    torch.backends.cuda.matmul.allow_tf32 = in_products
    torch.backends.cudnn.allow_tf32 = in_convolutions
