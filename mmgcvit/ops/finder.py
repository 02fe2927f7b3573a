"""Import hooks: for fallback operators as ``mmcv._ext``, and for OpenMMLab packages that cannot be imported."""

import sys
import warnings
from collections.abc import Iterable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from traceback import walk_stack, walk_tb
from types import FrameType, ModuleType
from typing import Any

from ..errors import PIP_PACKAGES, MissingPackageError, format_missing, get_first_line

FALLBACK_FILE = Path(__file__).with_name('fallback.py')
# The module of mmcv's compiled operators.
COMPILED_MODULE = 'mmcv._ext'
# The OpenMMLab packages of which each task needs one.
TASK_PACKAGES = frozenset({'mmdet', 'mmseg', 'mmpretrain'})


class FallbackFinder(MetaPathFinder):
    """Find ``fallback.py`` as :data:`COMPILED_MODULE`. Python asks this finder last."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        # mmengine's mmcv_full_available() looks for this module. It stays False until something imports mmcv.ops.
        is_wanted = name == COMPILED_MODULE and 'mmcv.ops' in sys.modules
        return spec_from_file_location(name, FALLBACK_FILE) if is_wanted else None


class TaskPackageFinder(MetaPathFinder):
    """Let :class:`TaskPackageLoader` load the modules of :data:`TASK_PACKAGES` that other finders find.

    Python asks this finder first. It ignores what a package imports of itself while it is imported, and reloads.
    """

    def __init__(self) -> None:
        self.messages = {}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        package = name.partition('.')[0]
        if package not in TASK_PACKAGES or target is not None:
            return None
        if name not in self.messages and any(iter_importing(walk_stack(sys._getframe()), package)):
            return None
        others = [each for each in sys.meta_path if hasattr(each, 'find_spec') and not isinstance(each, type(self))]
        spec = next(filter(None, (finder.find_spec(name, path) for finder in others)), None)
        if spec and spec.loader:
            spec.loader = TaskPackageLoader(spec.loader, self.messages)
        return spec


class TaskPackageLoader:
    """Load a module with the given loader. If that fails, raise a MissingPackageError from the module's error.

    mmdet and mmseg work without a package whose import raises a ModuleNotFoundError, but stop at any other error.

    Args:
        loader: The module's loader.
        messages: The message for each module that failed. It is not executed again, since its classes would be
            registered twice.
    """

    def __init__(self, loader: Loader, messages: dict[str, str]) -> None:
        self.loader, self.messages = loader, messages

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, 'loader'), name)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self.loader
        if module.__name__ in self.messages:
            raise MissingPackageError(self.messages[module.__name__])
        try:
            self.loader.exec_module(module)
        except Exception as error:
            importing = iter_importing(walk_tb(error.__traceback__), module.__name__.partition('.')[0])
            # A module with a syntax error has no frame.
            names = [module.__name__, *importing]
            message = explain_failed_import(names, error)
            self.messages |= dict.fromkeys(names, message)
            # mmengine's registries and mmdet go on without the package and say nothing.
            warnings.warn(message, stacklevel=2)
            raise MissingPackageError(message) from error


def iter_importing(frames: Iterable[tuple[FrameType, int]], package: str) -> Iterable[str]:
    """Yield the names of a package's modules that the frames are importing."""
    for frame, _ in frames:
        name = frame.f_globals.get('__name__', '')
        if frame.f_code.co_name == '<module>' and name.partition('.')[0] == package:
            yield name


def explain_failed_import(names: list[str], error: Exception) -> str:
    """Return why a package cannot be imported, and what to do, from its modules that were being imported."""
    if isinstance(error, MissingPackageError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and error.name in PIP_PACKAGES:
        return format_missing(names[0], error.name)
    if any(name.startswith('mmpretrain.models.multimodal.') for name in names):
        return "mmpretrain cannot be imported beside this version of transformers. Run: pip install 'transformers<5'"
    return (
        f'{names[0]} cannot be imported ({type(error).__name__}: {get_first_line(error)}). Install it again with what '
        f"it needs (docs/installation.md); to see where it fails, run: python -c 'import mmgcvit, {names[0]}'"
    )


def install_finders() -> None:
    """Add the finders to ``sys.meta_path``; the one for mmcv only if mmcv lacks compiled operators.

    Importing mmgcvit calls this.
    """
    sys.meta_path.insert(0, TaskPackageFinder())
    mmcv = find_spec('mmcv')
    folders = mmcv.submodule_search_locations if mmcv else []
    if not any(PathFinder.find_spec(COMPILED_MODULE, [folder]) for folder in folders):
        sys.meta_path.append(FallbackFinder())
