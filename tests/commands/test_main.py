"""The console command calls the file of each command with what follows its name."""

import sys
from importlib import import_module
from importlib.metadata import entry_points, version

import mmengine
import pytest

import mmgcvit
from mmgcvit.commands import main

from ..conftest import ROOT

FILES = {path.stem for path in (ROOT / 'mmgcvit' / 'commands').glob('[!_]*.py')}


@pytest.fixture
def call(monkeypatch):
    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['mmgcvit', *arguments])
        main.main()

    return call


def test_the_package_brings_the_command():
    (command,) = entry_points(group='console_scripts', name='mmgcvit')
    assert command.load() is main.main


def test_every_file_is_a_command():
    assert {module for module, _ in main.COMMANDS.values()} == FILES - {'main'}


@pytest.mark.parametrize('name', main.COMMANDS)
def test_a_command_gets_what_follows_its_name(name, call, monkeypatch):
    called = []
    module = import_module(f'mmgcvit.commands.{main.COMMANDS[name][0]}')
    monkeypatch.setattr(module, 'main', lambda: called.append(sys.argv))
    call(name, 'a', '--b')
    assert called == [[f'mmgcvit {name}', 'a', '--b']]


def test_without_a_command_all_are_listed(call, capsys):
    call()
    listed = capsys.readouterr().out
    assert all(f'mmgcvit {name} ' in listed for name in main.COMMANDS)


def test_what_is_no_command_is_answered_by_those_there_are(call):
    with pytest.raises(SystemExit, match=r"no command 'trian'(.|\n)*mmgcvit train"):
        call('trian')


def test_version_names_what_the_package_stands_on(call, capsys):
    call('--version')
    printed = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert printed['mmgcvit'] == mmgcvit.__version__
    assert printed['torch'] == version('torch')
    assert printed['mmengine'] == mmengine.__version__
    assert not [name for name, found in printed.items() if found == 'none']
