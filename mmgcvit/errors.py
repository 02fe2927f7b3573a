"""Errors that a user can fix, and helpers for messages."""

import difflib
from collections.abc import Callable, Iterable, Sequence

# Just below difflib's similarity of 'gcvit_tiny' and 'tiny' (0.57), so that each is suggested for
# the other.
MIN_SIMILARITY = 0.55
MANY = 20  # the number of names in messages that list many


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


class MisfitError(CheckpointError):
    """An error for a checkpoint of another model than the one that loads it."""


class MissingPackageError(UserError, ModuleNotFoundError):
    """An error for a package that is not installed, too old, or cannot be imported."""


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


def get_first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or the error's type if the message is empty."""
    line = str(error).partition('\n')[0]
    # Pillow's message for a file that is not an image contains a memory address.
    if line.startswith('cannot identify'):
        return 'not an image'
    return line or type(error).__name__
