"""Errors that a user can fix, which commands/main.py prints as one sentence, and helpers for their messages."""

import difflib
import errno
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec

# Below difflib's ratio of gcvit_tiny and tiny.
LEAST_LIKENESS = 0.55
# pip arguments for packages that only some commands need, by import name.
PIP_PACKAGES = {
    **dict.fromkeys(('torch', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain'), "'mmgcvit[hosts]'"),
    **dict.fromkeys(('sklearn', 'cv2', 'pycocotools'), "'mmgcvit[digits]'"),
    **dict.fromkeys(('safetensors', 'timm'), "'mmgcvit[checkpoints]'"),
    **dict.fromkeys(('onnx', 'onnxscript', 'onnxruntime'), "'mmgcvit[export]'"),
    **dict.fromkeys(('pytorch_grad_cam', 'matplotlib'), "'mmgcvit[visualize]'"),
    'huggingface_hub': "'mmgcvit[hub]'",
    'lap': "'mmgcvit[track]'",
    'mmpose': "'mmgcvit[keypoints]', as docs/other_tasks.md says",
    'mmrotate': "'mmgcvit[rotated]'",
    'trackeval': '--no-deps trackeval tabulate',
    'gradio': "'mmgcvit[web]'",
}


class UserError(ValueError):
    """An input cannot be used. The message says what was given, what is allowed and what to do.

    Control characters, as in file names, are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(escape_controls(message))


class CheckpointError(UserError):
    """A checkpoint cannot be used."""


class MissingPackageError(UserError, ImportError):
    """An optional package is not installed."""


def check_installed(what: str, *names: str) -> None:
    """Raise a MissingPackageError if packages of :data:`PIP_PACKAGES` are missing."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise MissingPackageError(format_missing(what, *missing))


def format_missing(what: str, *missing: str) -> str:
    """Say which packages are missing, with the pip command for them."""
    calls = ' and '.join(
        f'pip install {packages}' for packages in dict.fromkeys(PIP_PACKAGES[name] for name in missing)
    )
    return f'{what} needs {", ".join(missing)}, not installed here: {calls}'


def escape_controls(text: str) -> str:
    """Escape control characters."""
    return ''.join(c if c.isprintable() or c == '\n' else c.encode('unicode_escape').decode() for c in text)


def shorten(names: Sequence[str], most: int = 3) -> str:
    """List the first names."""
    return escape_controls(', '.join(names[:most])) + (', ...' if len(names) > most else '')


def suggest(given: str, names: Iterable[str], called: Callable[[str], str] = str) -> str:
    """End a message about an unknown name with the most similar known one, if there is one."""
    known = {name.lower(): name for name in names}
    alike = difflib.get_close_matches(given.lower(), known, n=1, cutoff=LEAST_LIKENESS)
    return f'; did you mean {escape_controls(called(known[alike[0]]))}?' if alike else ''


def format_count(number: int, one: str) -> str:
    """``1 image``, ``2 images``."""
    return f'{number} {one}' if number == 1 else f'{number} {one}s'


def get_first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if there is none."""
    line = next(iter(str(error).splitlines()), '') or type(error).__name__
    # Pillow's message has a memory address.
    return 'not an image' if line.startswith('cannot identify') else line


def is_full_disk(error: BaseException) -> bool:
    """Whether an error means that the disk or the user's quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
