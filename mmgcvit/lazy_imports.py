"""Import the attributes of a package when they are first used (PEP 562), so that importing the package is fast."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def make_lazy_imports(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make ``__getattr__`` and ``__dir__`` for a package. ``modules`` maps each attribute's name to its module."""

    def get_attribute(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        # Importing the registry checks the versions of torch, mmengine and mmcv.
        import_module('mmgcvit.registry')
        return getattr(import_module(f'{package}.{modules[name]}'), name)

    return get_attribute, lambda: [*vars(sys.modules[package]), *modules]
