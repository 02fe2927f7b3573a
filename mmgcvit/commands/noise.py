"""What the hosts say that nobody who calls a command can use or change stays off the terminal; a run's log has it.

With MMGCVIT_VERBOSE=1 in the environment all of it is shown.
"""

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any, TextIO

# Warnings in logs.
NEEDLESS = re.compile(
    # mmengine's CheckpointHook warns of its own use of both.
    r'"FileClient" will be deprecated|"HardDiskBackend" is the alias'
    # mmseg calls its scores aAcc, mIoU, mAcc.
    r'|The prefix is not set in metric class'
    # Hosts have no registry of functions: mmengine's is the one that is meant.
    r'|Failed to search registry with scope "\w+" in the "function" registry tree'
)
# Python's, by their beginnings: of mmdet's second metric, which nothing here uses; of mmseg's defaults, which its own
# configs have; of loaders, on a machine without a GPU.
NEEDLESS_WARNINGS = (
    'faster_coco_eval is not installed|Default ``avg_non_ignore`` is False|`reduce_zero_label` will be deprecated'
    "|'pin_memory' argument is set as true but no accelerator"
)
# What hosts print, and what runners log before they begin: hundreds of lines.
DUMPS = re.compile(
    r'^Could not import OneDL|INFO(\x1b\[0m)? - '
    r'(\n-+\nSystem environment:|Config:\n|Hooks will be executed|paramwise_options --|mmcv has no compiled operators)'
)
# A dump is known by its beginning.
LONGEST_BEGINNING = 400


class WithoutNoise:
    """A stream that leaves out such lines, and is the other one in everything else."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.left_out = False

    def write(self, text: str) -> int:
        beginning = text[:LONGEST_BEGINNING]
        # print writes the end of a line by itself.
        is_its_end = self.left_out and text == '\n'
        self.left_out = bool(DUMPS.search(beginning) or NEEDLESS.search(beginning))
        return len(text) if self.left_out or is_its_end else self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def without_noise() -> Iterator[None]:
    """Leave noise out of what a command prints and warns of; it has the process to itself."""
    if os.environ.get('MMGCVIT_VERBOSE') == '1':
        yield
        return
    with warnings.catch_warnings(), redirect_stdout(WithoutNoise(sys.stdout)):
        # Python's own way to ask for them: -W and PYTHONWARNINGS.
        if not sys.warnoptions:
            for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter('ignore', category)
            # Of odd metadata, and of images that are large but not too large.
            warnings.filterwarnings('ignore', module='PIL')
            warnings.filterwarnings('ignore', message=NEEDLESS_WARNINGS)
        yield
