"""Errors that a user can fix, and helpers for messages.

commands/main.py prints such errors without a traceback.
"""

import difflib
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from importlib.metadata import distributions
from importlib.util import find_spec
from typing import Any

# Just below difflib's similarity of 'gcvit_tiny' and 'tiny' (0.57), so that each is suggested for
# the other.
MIN_SIMILARITY = 0.55
MANY = 20  # the number of names in messages that list many
# The arguments of pip install for each package that only some commands need, by import name. Of an
# OpenMMLab package: those for the original, and those for the maintained fork with the same
# modules. pip would install one over the other, so only the one whose mmengine is installed is
# advised.
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
# The oldest versions of the packages that all commands need
MINIMUM_VERSIONS = {'torch': '2.1.0', 'mmengine': '0.10.0', 'mmcv': '2.0.0'}
# Why each package that is installed, but that ops/packages.py could not import, is broken.
BROKEN_PACKAGES: dict[str, str] = {}


class UserError(ValueError):
    """An error that the user can fix.

    Control characters in its message, such as those of file names, are escaped.

    Args:
        message: What was given, what is allowed, and what to do, in terms of Python and configs.
        arguments: The names of the arguments by which it can be done, such as ``'work_dir'``. A
            command that has options of these names adds them to the message.
    """

    def __init__(self, message: str, arguments: Sequence[str] = ()):
        super().__init__(escape_controls(message))
        self.arguments = tuple(arguments)


class CheckpointError(UserError):
    """An error for a checkpoint that cannot be used."""


class MissingPackageError(UserError, ModuleNotFoundError):
    """An error for a package that is not installed, too old, or cannot be imported."""


class Supervision:
    """The package supervision, which is imported when it is first used.

    If it is missing, this raises a MissingPackageError, which names the feature that needs it.
    """

    def __init__(self, feature: str):
        self.feature = feature

    def __getattr__(self, attribute: str) -> Any:
        check_installed(self.feature, 'supervision')
        return getattr(import_module('supervision'), attribute)


def check_installed(feature: str, *packages: str) -> None:
    """Raise a MissingPackageError if one of a feature's ``packages`` is missing."""
    missing = list_missing(packages)
    if missing:
        raise MissingPackageError(format_missing(feature, *missing))


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


def escape_controls(text: str) -> str:
    """Escape the control characters of a text, except newlines."""
    escaped = ''
    for character in text:
        if not character.isprintable() and character != '\n':
            character = character.encode('unicode_escape').decode()
        escaped += character
    return escaped


def shorten(names: Sequence[object], max_names: int = 3) -> str:
    """Join the first ``max_names`` names by commas, and add ``...`` if there are more."""
    text = escape_controls(', '.join(map(str, names[:max_names])))
    if len(names) > max_names:
        text += ', ...'
    return text


def suggest(
    name: str, known_names: Iterable[str], format_name: Callable[[str], str | None] = str
) -> str:
    """Return ``; did you mean NAME?`` with the most similar known name, or an empty string if none
    is similar.
    """
    known = {known_name.lower(): known_name for known_name in known_names}
    for similar in difflib.get_close_matches(name.lower(), known, n=1, cutoff=MIN_SIMILARITY):
        return f'; did you mean {format_name(known[similar])}?'
    return ''


def format_count(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 image``, ``2 images``."""
    return f'{count} {noun}' if count == 1 else f'{count} {noun}s'


def format_duration(seconds: float) -> str:
    """Return a duration in minutes, or in hours from two hours on."""
    minutes = max(1, round(seconds / 60))
    if minutes < 120:
        return format_count(minutes, 'minute')
    return format_count(round(minutes / 60), 'hour')


def get_first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the error's type if the message is empty."""
    line = str(error).partition('\n')[0]
    # Pillow's message for a file that is not an image contains a memory address.
    if line.startswith('cannot identify'):
        return 'not an image'
    return line or type(error).__name__
