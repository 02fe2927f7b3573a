"""mmengine reads checkpoints by a function of this package, whichever of the two is imported first."""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

MODULE = 'mmengine.runner.checkpoint'
# Local files, and addresses; schemes that hosts serve from their own model zoos are left to them.
READ_HERE = ('', 'http://', 'https://')


def register_reader(read: Callable[[str], Any]) -> None:
    """Have mmengine read checkpoints by ``read``, through its own registry of loaders; once it is imported, if not yet.

    ``read`` may be registered while this package and mmengine are still being imported.
    """
    if MODULE not in sys.modules:
        sys.meta_path.insert(0, AfterImport(lambda: register_reader(read)))
        return

    def load_from_mmgcvit(filename: str, map_location: Any = None, logger: Any = None) -> Any:
        return read(filename)

    for scheme in READ_HERE:
        sys.modules[MODULE].CheckpointLoader.register_scheme(scheme, load_from_mmgcvit, force=True)


class AfterImport(Loader):
    """First in ``sys.meta_path``: finds the module as Python does, loads it as its loader does, and then acts."""

    def __init__(self, act: Callable[[], None]) -> None:
        self.act = act

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path) if name == MODULE else None
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
