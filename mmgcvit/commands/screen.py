"""Hide startup messages and needless warnings of the OpenMMLab packages."""

import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

SIGINT_EXIT_CODE = 128 + signal.SIGINT
# Hundreds of lines that are printed at import, or logged before a run starts (its log file has them too).
STARTUP_MESSAGES = re.compile(
    r'^Could not import OneDL|INFO(\x1b\[0m)? - '
    r'(\n-+\nSystem environment:|Config:\n|Hooks will be executed|paramwise_options --|mmcv has no compiled operators)'
    r'|Failed to search registry with scope "\w+" in the "function" registry tree'
)
# Number of characters at the start of a text in which STARTUP_MESSAGES are searched.
MAX_SEARCHED = 400
NEEDLESS_WARNINGS = (
    'faster_coco_eval is not installed|Default ``avg_non_ignore`` is False|`reduce_zero_label` will be deprecated'
    "|'pin_memory' argument is set as true but no accelerator|<class .* instance named of visualizer"
    r'|mm[\w.]+ cannot be imported'  # a command that needs the package raises an error
)


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
