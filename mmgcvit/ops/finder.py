"""Import hooks: for fallback operators as ``mmcv._ext``, and for OpenMMLab packages that cannot be
imported.
"""

import sys
import warnings
from collections.abc import Iterator
from copy import copy
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from traceback import walk_stack, walk_tb
from types import ModuleType

from ..errors import MissingPackageError, get_first_line

FALLBACK_FILE = Path(__file__).with_name('fallback.py')
COMPILED_MODULE = 'mmcv._ext'  # the module of mmcv's compiled operators
TASK_PACKAGES = frozenset(
    {'mmdet', 'mmseg', 'mmpretrain'}
)  # the OpenMMLab packages of which each task needs one


class FallbackFinder(MetaPathFinder):
    """Find ``fallback.py`` as :data:`COMPILED_MODULE`.

    Python asks this finder last, after compiled modules.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        # mmengine's mmcv_full_available() looks for this module. It stays False until something
        # imports mmcv.ops.
        is_wanted = name == COMPILED_MODULE and 'mmcv.ops' in sys.modules
        return spec_from_file_location(name, FALLBACK_FILE) if is_wanted else None


class TaskPackageFinder(MetaPathFinder):
    """Find modules of :data:`TASK_PACKAGES` as other finders do, but raise a MissingPackageError if
    an import fails.

    mmdet and mmseg work without the other packages, but only if their import raises a
    ModuleNotFoundError. Python asks this finder first.
    """

    def __init__(self) -> None:
        # The message for each module that failed. Executed again, it would register its classes
        # twice.
        self.messages = {}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        package = name.partition('.')[0]
        if package not in TASK_PACKAGES or target is not None:  # a target is reloaded
            return None
        # A package that imports its own modules handles their errors itself.
        if name not in self.messages and any(iter_importing(walk_stack(sys._getframe()), package)):
            return None
        # By name, since a second import of this package adds a finder of another class of this
        # name.
        others = (each for each in sys.meta_path if type(each).__name__ != type(self).__name__)
        finders = [each for each in others if hasattr(each, 'find_spec')]
        spec = next(filter(None, (finder.find_spec(name, path) for finder in finders)), None)
        if spec and spec.loader:
            loader, spec.loader = spec.loader, copy(spec.loader)
            spec.loader.exec_module = partial(self.exec_module, loader)
        return spec

    def exec_module(self, loader: Loader, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = loader
        if module.__name__ in self.messages:
            raise MissingPackageError(self.messages[module.__name__])
        try:
            loader.exec_module(module)
        except Exception as error:
            importing = iter_importing(
                walk_tb(error.__traceback__), module.__name__.partition('.')[0]
            )
            names = [module.__name__, *importing]
            message = explain_failed_import(names, error)
            self.messages |= dict.fromkeys(names, message)
            # mmengine's registries do not say that they continue without a package.
            warnings.warn(message, stacklevel=2)
            raise MissingPackageError(message) from error


def iter_importing(frames: Iterator[tuple], package: str) -> Iterator[str]:
    """Yield the names of a package's modules that are being imported in the given frames."""
    names = (
        frame.f_globals.get('__name__', '')
        for frame, _ in frames
        if frame.f_code.co_name == '<module>'
    )
    return (name for name in names if name.partition('.')[0] == package)


def explain_failed_import(names: list[str], error: Exception) -> str:
    """Return why the first of the modules cannot be imported, and what to do.

    The others are those that it imports.
    """
    if isinstance(error, MissingPackageError):
        return str(error)
    if isinstance(error, ImportError) and error.name == COMPILED_MODULE.partition('.')[2]:
        advice = "Make a new environment ('make install VENV=.venv-new'), or recompile them (docs/installation.md)"
        reason = f'({get_first_line(error)}). They were compiled for another version of torch'
        return f"mmcv's operators do not load {reason}. {advice}"
    # mmpretrain imports these modules if transformers is installed.
    if any(
        name.startswith(('mmpretrain.models.multimodal.', 'mmpretrain.models.utils.huggingface'))
        for name in names
    ):
        return "mmpretrain cannot be imported with this version of transformers. Run: pip install 'transformers<5'"
    problem = f'{names[0]} cannot be imported ({type(error).__name__}: {get_first_line(error)})'
    advice = f"or to see where it fails, run: python -c 'import mmgcvit, {names[0]}'"
    return f'{problem}. Install it again with what it needs (docs/installation.md), {advice}'
