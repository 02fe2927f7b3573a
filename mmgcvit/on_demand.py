"""Names of a package that are imported when they are asked for (PEP 562), so that importing it costs nothing."""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def on_demand(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package whose names are in these of its modules.

    Asking for one says first whether the hosts are there, and new enough.
    """

    def look_up(name: str) -> Any:
        if name not in places:
            raise AttributeError(f'module {package!r} has no attribute {name!r}')
        import_module('mmgcvit.registry')
        found = getattr(import_module(f'{package}.{places[name]}'), name)
        setattr(sys.modules[package], name, found)
        return found

    return look_up, lambda: [*vars(sys.modules[package]), *places]
