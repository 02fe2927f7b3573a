"""Errors that a user can fix: raised anywhere, shown as one sentence by commands/main.py; and the words for them."""

import difflib
import errno
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec

# difflib's ratio of gcvit_tiny and tiny is above it.
LEAST_LIKENESS = 0.55
# What pip installs for packages that only some commands need, by their import names.
BROUGHT_BY = {
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
    """Something that was given cannot be used. The message says what was given, what is allowed and what to do.

    Control characters, which names of files may hold, are escaped.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class CheckpointError(UserError):
    """A checkpoint cannot be used."""


class MissingPackageError(UserError, ImportError):
    """An optional package is not installed."""


def check_installed(what: str, *names: str) -> None:
    """Raise a MissingPackageError if packages of :data:`BROUGHT_BY` are missing."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise MissingPackageError(needs(what, *missing))


def needs(what: str, *missing: str) -> str:
    """A sentence with the pip command for missing packages of :data:`BROUGHT_BY`."""
    calls = ' and '.join(f'pip install {packages}' for packages in dict.fromkeys(BROUGHT_BY[name] for name in missing))
    return f'{what} needs {", ".join(missing)}, not installed here: {calls}'


def printable(text: str) -> str:
    """A text with control characters escaped."""
    return ''.join(c if c.isprintable() or c == '\n' else c.encode('unicode_escape').decode() for c in text)


def shorten(names: Sequence[str], most: int = 3) -> str:
    """The first of many names."""
    return printable(', '.join(names[:most])) + (', ...' if len(names) > most else '')


def suggest(given: str, names: Iterable[str], called: Callable[[str], str] = str) -> str:
    """The end of a message about an unknown name: the most similar known one, or nothing."""
    known = {name.lower(): name for name in names}
    alike = difflib.get_close_matches(given.lower(), known, n=1, cutoff=LEAST_LIKENESS)
    return f'; is {printable(called(known[alike[0]]))} meant?' if alike else ''


def counted(number: int, one: str) -> str:
    """``1 image``, ``2 images``."""
    return f'{number} {one}' if number == 1 else f'{number} {one}s'


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if it has none."""
    line = next(iter(str(error).splitlines()), '') or type(error).__name__
    # Pillow names an image in memory by its address.
    return 'no image' if line.startswith('cannot identify') else line


def is_full_disk(error: BaseException) -> bool:
    """Whether an error says that the disk, or the user's part of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
