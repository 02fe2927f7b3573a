"""Fixtures: ``mmgcvit convert`` in this process, and an object that runs a command when it is unpickled."""

import os
from contextlib import nullcontext

import pytest

from mmgcvit.commands.main import run_command


@pytest.fixture
def convert(capsys):
    """Call the command with arguments. Return its output, or with ``fails`` its error message."""

    def convert(*arguments, fails=False):
        with pytest.raises(SystemExit) if fails else nullcontext() as end:
            run_command('convert', arguments)
        return str(end.value.code) if fails else capsys.readouterr().out

    return convert


class RunsACommand:
    """An object whose unpickling creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)
