"""Hide startup messages and needless warnings of the OpenMMLab packages."""

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

from ..private_api import NEEDLESS_WARNINGS, STARTUP_MESSAGES

SIGINT_EXIT_CODE = 128 + signal.SIGINT
# Number of characters at the start of a text in which STARTUP_MESSAGES are searched.
MAX_SEARCHED = 400


class FilteredStream:
    """A text stream that drops :data:`STARTUP_MESSAGES`."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.dropped_last = False

    def write(self, text: str) -> int:
        # print writes the newline in a second call; drop it along with the message.
        is_trailing_newline = self.dropped_last and text == '\n'
        self.dropped_last = bool(STARTUP_MESSAGES.search(text[:MAX_SEARCHED]))
        return len(text) if self.dropped_last or is_trailing_newline else self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def hide_noise() -> Iterator[None]:
    """Hide startup messages and needless warnings, unless MMGCVIT_VERBOSE=1."""
    if os.environ.get('MMGCVIT_VERBOSE') == '1':
        yield
        return
    with warnings.catch_warnings(), redirect_stdout(FilteredStream(sys.stdout)):
        # Respect the user's own settings (-W, PYTHONWARNINGS).
        if not sys.warnoptions:
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter('ignore', category)
            # Pillow warns about unusual metadata and large images.
            warnings.filterwarnings('ignore', module='PIL')
            warnings.filterwarnings('ignore', message=NEEDLESS_WARNINGS)
        yield
