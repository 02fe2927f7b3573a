"""Hide startup messages and needless warnings of the OpenMMLab packages."""

import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

INTERRUPTED = 128 + signal.SIGINT
# Printed at import, or logged before a run starts: hundreds of lines, which the log file has too.
DUMPS = re.compile(
    r'^Could not import OneDL|INFO(\x1b\[0m)? - '
    r'(\n-+\nSystem environment:|Config:\n|Hooks will be executed|paramwise_options --|mmcv has no compiled operators)'
    r'|Failed to search registry with scope "\w+" in the "function" registry tree'
)
MAX_PREFIX = 400
WARNINGS = (
    'faster_coco_eval is not installed|Default ``avg_non_ignore`` is False|`reduce_zero_label` will be deprecated'
    "|'pin_memory' argument is set as true but no accelerator|<class .* instance named of visualizer"
)


class WithoutDumps:
    """A text stream that drops these messages."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.left_out = False

    def write(self, text: str) -> int:
        # print writes the newline separately.
        is_its_end = self.left_out and text == '\n'
        self.left_out = bool(DUMPS.search(text[:MAX_PREFIX]))
        return len(text) if self.left_out or is_its_end else self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def hide_noise() -> Iterator[None]:
    """Hide startup messages and needless warnings, unless MMGCVIT_VERBOSE=1."""
    if os.environ.get('MMGCVIT_VERBOSE') == '1':
        yield
        return
    with warnings.catch_warnings(), redirect_stdout(WithoutDumps(sys.stdout)):
        # Set by -W and PYTHONWARNINGS.
        if not sys.warnoptions:
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter('ignore', category)
            # About unusual metadata and large images.
            warnings.filterwarnings('ignore', module='PIL')
            warnings.filterwarnings('ignore', message=WARNINGS)
        yield
