"""Replace modules that cannot be exported in a copy of a network."""

from collections.abc import Callable
from copy import deepcopy
from typing import TypeVar

from torch import nn

M = TypeVar('M', bound=nn.Module)


def replace_modules(
    module: nn.Module, replaced: type[M], make: Callable[[M], nn.Module]
) -> nn.Module:
    """Return a copy of a module in which ``make`` replaces each submodule of the class
    ``replaced``.

    The copy shares the parameters. The module itself stays as it is.
    """
    shared = {id(parameter): parameter for parameter in module.parameters()}
    copied = deepcopy(module, shared)
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if isinstance(child, replaced):
                setattr(parent, name, make(child))
    return copied
