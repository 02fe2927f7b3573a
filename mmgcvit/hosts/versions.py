"""What must be installed beside this package, whichever distribution it comes from."""

from importlib import import_module

from packaging.version import Version

MINIMUM_VERSIONS = {'torch': '2.1.0', 'mmengine': '0.10.0', 'mmcv': '2.0.0'}


def check_hosts() -> None:
    """Refuse to go on beside missing or too old hosts.

    Raises:
        ImportError: A host is missing or too old; the message names it, its version and the version needed.
    """
    for name, minimum in MINIMUM_VERSIONS.items():
        try:
            found = import_module(name).__version__
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise ImportError(
                f'mmgcvit needs {name} {minimum} or later, and there is none; see docs/installation.md'
            ) from error
        if Version(found) < Version(minimum):
            raise ImportError(f'mmgcvit needs {name} {minimum} or later; installed is {found}')
