"""Initial weights of transformer layers."""

from torch import nn


def init_transformer_weights(module: nn.Module) -> None:
    """Initialise one module, for use with ``Module.apply``.

    Linear layers: truncated normal with standard deviation 0.02, biases 0. LayerNorm: 1 and 0. Convolutions keep the
    framework's default; position tables initialise themselves.
    """
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        nn.init.ones_(module.weight)
        nn.init.zeros_(module.bias)
