"""The backbones in other frameworks, one file each: transformers, timm, and torchvision's detectors.

Each is a module that users import where they use its framework; nothing else in the package does. Begin with
torchvision.py, the shortest.
"""

from importlib import import_module


def require(package: str, extra: str) -> None:
    """Import a package, or say in one sentence how to get it: by pip, or with an extra of this package."""
    try:
        import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise ImportError(
            f"mmgcvit.integrations.{package} needs {package}, not installed here: 'pip install {package}', "
            f'or mmgcvit[{extra}]'
        ) from None
