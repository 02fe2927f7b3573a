"""What to install where a framework is missing."""

from importlib import import_module


def require(package: str, extra: str) -> None:
    """Import a package, or say in one sentence how to get it.

    Args:
        package: By the name under which it is imported and installed.
        extra: This package's extra that brings it in.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(
            f"mmgcvit.integrations.{package} needs {package}, not installed here: 'pip install {package}', "
            f'or mmgcvit[{extra}]'
        ) from None
