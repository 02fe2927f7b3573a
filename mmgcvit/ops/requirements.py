"""Packages that a feature needs: which are missing or broken, and how to install them."""

from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.metadata import distributions
from importlib.util import find_spec

from ..errors import MissingPackageError

# The arguments of pip install for each package that may be missing, by import name. Of an OpenMMLab
# package: those for the original, and those for the maintained fork with the same modules. pip
# would install one over the other, so only the one whose mmengine is installed is advised.
PIP_PACKAGES = {
    'torch': 'torch torchvision',
    'mmengine': ("'mmengine<0.11'", 'onedl-mmengine'),
    'mmcv': ("'mmcv-lite<2.2'", 'onedl-mmcv'),
    'mmdet': ("'mmdet<3.4'", 'onedl-mmdetection'),
    'mmseg': ("'mmsegmentation<1.3' ftfy regex", 'onedl-mmsegmentation'),
    'mmpretrain': ("'mmpretrain<1.3'", 'onedl-mmpretrain'),
    'sklearn': 'scikit-learn',
    'skimage': 'scikit-image',
    'cv2': 'opencv-python',
    'PIL': 'pillow',
    'pytorch_grad_cam': 'grad-cam',
    'pycocotools': 'pycocotools',
    'safetensors': 'safetensors',
    'timm': 'timm',
    'onnx': 'onnx',
    'onnxscript': 'onnxscript',
    'onnxruntime': 'onnxruntime',
    'matplotlib': 'matplotlib',
    'supervision': 'supervision',
    'mmpose': None,  # docs/other_tasks.md has several steps for it
    'mmrotate': None,
}
# The oldest versions of the packages that are always needed
MINIMUM_VERSIONS = {'torch': '2.1.0', 'mmengine': '0.10.0', 'mmcv': '2.0.0'}
# Why each package that is installed, but that ops/packages.py could not import, is broken.
BROKEN_PACKAGES: dict[str, str] = {}


def check_installed(feature: str, *packages: str) -> None:
    """Raise a MissingPackageError if one of a feature's ``packages`` is missing."""
    missing = list_missing(packages)
    if missing:
        raise MissingPackageError(format_missing(feature, *missing))


def check_requirements() -> None:
    """Raise a MissingPackageError if one of :data:`MINIMUM_VERSIONS` is missing or too old."""
    from packaging.version import Version

    check_installed('mmgcvit', *MINIMUM_VERSIONS)
    for name, minimum in MINIMUM_VERSIONS.items():
        installed = import_module(name).__version__
        if Version(installed) < Version(minimum):
            raise MissingPackageError(
                f'mmgcvit needs {name} {minimum} or later, but {installed} is installed. '
                'Install a later version (docs/installation.md)'
            )


def list_missing(packages: Iterable[str]) -> list[str]:
    return [package for package in packages if find_spec(package) is None]


def format_missing(feature: str, *missing: str) -> str:
    """Return a message with the packages that a feature lacks and how to install them.

    For a broken package, return why it is broken.
    """
    for package in missing:
        if package in BROKEN_PACKAGES:
            return BROKEN_PACKAGES[package]
    lacking = list_missing(MINIMUM_VERSIONS) or missing
    verb = 'is' if len(lacking) == 1 else 'are'
    return (
        f'{feature} needs {", ".join(lacking)}, which {verb} not installed. '
        f'{advise_installation(lacking)}'
    )


def advise_installation(missing: Sequence[str]) -> str:
    """Return how to install packages: a pip command, or a page if it would be of a distribution of
    OpenMMLab that is not installed.
    """
    installed = {distribution.name for distribution in distributions()}
    arguments = []
    for package in missing:
        names = PIP_PACKAGES.get(package, package)
        if names is None:
            return 'docs/other_tasks.md says how to install it'
        if isinstance(names, tuple):
            original, fork = names
            if not installed & {'mmengine', 'onedl-mmengine'}:
                return 'docs/installation.md says how to install the OpenMMLab packages'
            names = fork if 'onedl-mmengine' in installed else original
        arguments.append(names)
    return f'Run: pip install {" ".join(arguments)}'
