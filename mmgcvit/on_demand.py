"""Import the names of a package at first use (PEP 562), so that importing the package is fast."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def on_demand(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Create ``__getattr__`` and ``__dir__`` of a package; ``places`` maps names to modules."""

    def look_up(name: str) -> Any:
        if name not in places:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        # Checks the versions of torch and OpenMMLab packages.
        import_module('mmgcvit.registry')
        return getattr(import_module(f'{package}.{places[name]}'), name)

    return look_up, lambda: [*vars(sys.modules[package]), *places]
