"""The converter's command line, called in this process."""

import importlib.util

import pytest

from ..conftest import ROOT


@pytest.fixture(scope='session')
def tool():
    """The command line's module; called in this process, it saves seconds a call."""
    spec = importlib.util.spec_from_file_location('convert_checkpoint', ROOT / 'tools' / 'convert_checkpoint.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def convert(tool, monkeypatch, capsys):
    """Call the command line; returns what it printed, or with ``fails`` the one sentence that it ended in."""

    def convert(*arguments, fails=False):
        monkeypatch.setattr('sys.argv', ['convert_checkpoint.py', *map(str, arguments)])
        if not fails:
            tool.main()
            return capsys.readouterr().out
        with pytest.raises(SystemExit) as end:
            tool.main()
        assert isinstance(end.value.code, str), 'a message, and so an exit status other than 0'
        return end.value.code

    return convert
