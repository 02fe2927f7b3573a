"""What a command leaves out of what OpenMMLab's packages print and warn of."""

import os
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

INTERRUPTED = 128 + signal.SIGINT
# What they print when they are imported, and log before a run begins: hundreds of lines, which its log file has too.
DUMPS = re.compile(
    r'^Could not import OneDL|INFO(\x1b\[0m)? - '
    r'(\n-+\nSystem environment:|Config:\n|Hooks will be executed|paramwise_options --|mmcv has no compiled operators)'
    # mmengine's hooks look their functions up in mmengine's registry.
    r'|Failed to search registry with scope "\w+" in the "function" registry tree'
)
LONGEST_BEGINNING = 400
# mmdet's second metric, which nothing here uses; mmseg's defaults, which its own configs have; loaders without a GPU.
WARNINGS = (
    'faster_coco_eval is not installed|Default ``avg_non_ignore`` is False|`reduce_zero_label` will be deprecated'
    "|'pin_memory' argument is set as true but no accelerator"
)


class WithoutDumps:
    """A stream that leaves dumps out, and is the other one in everything else."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.left_out = False

    def write(self, text: str) -> int:
        # print writes the end of a line by itself.
        is_its_end = self.left_out and text == '\n'
        self.left_out = bool(DUMPS.search(text[:LONGEST_BEGINNING]))
        return len(text) if self.left_out or is_its_end else self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def without_noise() -> Iterator[None]:
    """Leave dumps and needless warnings out; with MMGCVIT_VERBOSE=1 in the environment all is shown."""
    if os.environ.get('MMGCVIT_VERBOSE') == '1':
        yield
        return
    with warnings.catch_warnings(), redirect_stdout(WithoutDumps(sys.stdout)):
        # Python's own way to ask for them: -W and PYTHONWARNINGS.
        if not sys.warnoptions:
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter('ignore', category)
            # Of odd metadata, and of images that are large but not too large.
            warnings.filterwarnings('ignore', module='PIL')
            warnings.filterwarnings('ignore', message=WARNINGS)
        yield
