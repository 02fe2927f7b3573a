"""What is to be done once another module has been imported, without importing it for that."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


def after_import(name: str, act: Callable[[], None]) -> None:
    """Call ``act`` once the module of this name has been imported: now, if it is there, or just behind its import."""
    if name in sys.modules:
        act()
    else:
        sys.meta_path.insert(0, AfterImport(name, act))


class AfterImport(Loader):
    """First in ``sys.meta_path``: finds one module as Python does, loads it as its loader does, and then acts."""

    def __init__(self, name: str, act: Callable[[], None]) -> None:
        self.name = name
        self.act = act

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == self.name else None
        if spec is not None:
            self.loader, spec.loader = spec.loader, self
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Who asks the module, as for its source, asks its own loader.
        module.__loader__ = module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        self.act()
