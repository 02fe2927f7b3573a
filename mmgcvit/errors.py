"""What goes wrong and a user can mend: one kind of error, raised anywhere and shown in one place (commands/main.py)."""

import difflib
import errno
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec

LONGEST_MESSAGE = 4000
# By difflib's ratio: a family's name before an arch, as in gcvit_tiny, has still this much of tiny.
LEAST_LIKENESS = 0.55
# What pip installs of packages that not everybody needs, by the names that they are imported under: mostly extras.
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
    """Something that was given cannot be used. The message is a sentence: what was given, what is allowed, what to do.

    Characters that would do something to a terminal, as names of files may hold, are written out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


class CheckpointError(UserError):
    """A checkpoint cannot be used."""


class DamagedCheckpointError(CheckpointError):
    """A file is not what was once written: torn, altered, or no checkpoint at all."""


class MissingPackageError(UserError, ImportError):
    """A package is not installed that not everybody needs."""


def check_installed(what: str, *names: str) -> None:
    """Refuse what needs packages of :data:`BROUGHT_BY` of which some are missing."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise MissingPackageError(needs(what, *missing))


def needs(what: str, *missing: str) -> str:
    """What is said of that which needs packages of :data:`BROUGHT_BY`."""
    calls = ' and '.join(f'pip install {packages}' for packages in dict.fromkeys(BROUGHT_BY[name] for name in missing))
    return f'{what} needs {", ".join(missing)}, not installed here: {calls}'


def printable(text: str) -> str:
    """A text of bounded length that only prints: control characters and the like become escapes."""
    text = text if len(text) <= LONGEST_MESSAGE else f'{text[:LONGEST_MESSAGE]} ...'
    return ''.join(c if c.isprintable() or c == '\n' else c.encode('unicode_escape').decode() for c in text)


def shorten(names: Sequence[str], most: int = 3) -> str:
    """The first of many names."""
    return printable(', '.join(names[:most])) + (', ...' if len(names) > most else '')


def meant(given: str, names: Iterable[str], called: Callable[[str], str] = str) -> str:
    """What ends a message about an unknown name: the known one that is most like it, or nothing where none is."""
    known = {name.lower(): name for name in names}
    alike = difflib.get_close_matches(given.lower(), known, n=1, cutoff=LEAST_LIKENESS)
    return f'; is {printable(called(known[alike[0]]))} meant?' if alike else ''


def counted(number: int, one: str) -> str:
    """``1 image``, ``2 images``: a number before what it counts, whose plural ends in -s."""
    return f'{number} {one}' if number == 1 else f'{number} {one}s'


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its kind where it says nothing, as a MemoryError."""
    line = next(iter(str(error).splitlines()), '') or type(error).__name__
    # Pillow names a source in memory by its address.
    return 'no image' if line.startswith('cannot identify') else line


FULL = (errno.ENOSPC, errno.EDQUOT)


def is_full_disk(error: BaseException) -> bool:
    """Whether something could not be written for want of room."""
    return isinstance(error, OSError) and error.errno in FULL
