"""Import mmdet, mmseg or mmpretrain, although another one of them may be broken."""

import io
import sys
import warnings
from contextlib import redirect_stdout
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from traceback import walk_tb

from packaging.version import Version

from ..errors import MissingPackageError, get_first_line
from .finder import COMPILED_MODULE
from .requirements import BROKEN_PACKAGES, check_installed

# The OpenMMLab packages of which each task needs one.
TASK_PACKAGES = ('mmdet', 'mmseg', 'mmpretrain')


def import_task_package(package: str) -> None:
    """Import the models and datasets of one of :data:`TASK_PACKAGES`.

    These packages import each other, but do without each other only if that import raises a
    ModuleNotFoundError. So if another one raises an error of any type, warn, block it for the rest
    of the process, and import again. Raise a MissingPackageError if ``package`` itself is missing
    or broken.
    """
    check_installed('the config', package)
    try:
        with redirect_stdout(io.StringIO()):  # they print that an optional package is missing
            import_module(f'{package}.models')
            import_module(f'{package}.datasets')
    except Exception as error:  # a broken package may raise any exception
        broken = find_broken_package(error) or package
        BROKEN_PACKAGES[broken] = explain_failed_import(broken, error)
        # Imported again, it would register its classes twice, which raises other errors.
        for name in list(sys.modules):
            if name.startswith(f'{broken}.'):
                del sys.modules[name]
        sys.modules[broken] = None  # type: ignore[assignment]  # Python raises ImportError for it
        if broken == package:
            raise MissingPackageError(BROKEN_PACKAGES[package]) from error
        warnings.warn(BROKEN_PACKAGES[broken], stacklevel=2)
        import_task_package(package)


def find_broken_package(error: BaseException) -> str | None:
    """Return the innermost one of :data:`TASK_PACKAGES` in an error's traceback."""
    broken = None
    for frame, _ in walk_tb(error.__traceback__):
        package = frame.f_globals.get('__name__', '').partition('.')[0]
        if package in TASK_PACKAGES:
            broken = package
    return broken


def explain_failed_import(package: str, error: Exception) -> str:
    """Return why a package cannot be imported, and what to do."""
    reason = get_first_line(error)
    if isinstance(error, ImportError) and error.name == COMPILED_MODULE.removeprefix('mmcv.'):
        return (
            f"mmcv's operators do not load ({reason}). They were compiled for another version of "
            "torch. Make a new environment ('make install VENV=.venv-new'), or recompile them "
            '(docs/installation.md)'
        )
    has_transformers = package == 'mmpretrain' and find_spec('transformers')
    if has_transformers and Version(version('transformers')).major >= 5:
        return (
            'mmpretrain cannot be imported with this version of transformers. '
            "Run: pip install 'transformers<5'"
        )
    return (
        f'{package} cannot be imported ({type(error).__name__}: {reason}). Install it again with '
        'what it needs (docs/installation.md), or to see where it fails, run: python -c '
        f"'import mmgcvit, {package}.models'"
    )
