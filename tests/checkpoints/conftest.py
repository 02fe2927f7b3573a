"""The converter's command line, called in this process; and an object that does something when it is unpickled."""

import os

import pytest

from mmgcvit.commands.main import run_command


@pytest.fixture
def convert(monkeypatch, capsys):
    """Call the command line; returns what it printed, or with ``fails`` the one sentence that it ended in."""

    def convert(*arguments, fails=False):
        monkeypatch.setattr('sys.argv', ['convert_checkpoint.py', *map(str, arguments)])
        if not fails:
            run_command('convert')
            return capsys.readouterr().out
        with pytest.raises(SystemExit) as end:
            run_command('convert')
        assert isinstance(end.value.code, str), 'a message, and so an exit status other than 0'
        return end.value.code

    return convert


class RunsACommand:
    """Unpickled, this touches a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)
