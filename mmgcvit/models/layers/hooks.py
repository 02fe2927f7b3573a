"""Whether a layer can be computed another way than by calling it on its whole input, without anybody noticing."""

from torch import Tensor, nn

from .tracing import is_tracing

HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')


def has_hooks(layer: nn.Module) -> bool:
    """Whether a hook is registered for the layer, for one inside of it, or for all modules."""
    for_all_modules = any(getattr(nn.modules.module, f'_global{kind}') for kind in HOOKS)
    return for_all_modules or any(map(has_own_hooks, layer.modules()))


def has_own_hooks(layer: nn.Module) -> bool:
    """Whether a hook is registered for this very layer."""
    return any(getattr(layer, kind) for kind in HOOKS)


def is_plain(layer: nn.Module) -> bool:
    """Whether a layer is torch's linear layer or convolution, has no hooks, and its weights are ordinary tensors."""
    plain = type(layer) in (nn.Linear, nn.Conv2d) and 'forward' not in vars(layer) and not has_own_hooks(layer)
    return plain and (is_tracing() or type(layer.weight) in (Tensor, nn.Parameter))
