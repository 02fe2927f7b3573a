"""Options and words of other programs are translated or answered: each row of ``habits.ini`` is
tried.
"""

import re
import sys
from argparse import ArgumentParser
from importlib import import_module
from itertools import chain

import pytest

from mmgcvit.commands.habits import read_habits
from mmgcvit.commands.main import COMMANDS, main
from mmgcvit.commands.options import parse_args
from mmgcvit.errors import UserError

MODULES = {name: import_module(f'mmgcvit.commands.{name.replace("-", "_")}') for name in COMMANDS}
# The positional arguments without which a command does not parse.
NEEDED = {'train': '', 'export': 'run out.onnx'}


def find_actions(command):
    """Return the actions of a command by option, and by metavar of positional arguments."""
    parser = ArgumentParser()
    MODULES[command].add_options(parser)
    actions = {}
    for action in parser._actions:
        actions |= dict.fromkeys([*action.option_strings, str(action.metavar)], action)
    return actions


ACTIONS = {name: find_actions(name) for name in COMMANDS}


@pytest.fixture
def parse(monkeypatch):
    """Parse the arguments of a command."""

    def parse(command, arguments):
        monkeypatch.setattr(sys, 'argv', [f'mmgcvit {command}', *arguments.split()])
        return parse_args(MODULES[command], command)

    return parse


def test_a_sentence_names_only_options_and_commands_that_exist():
    every_option = set(chain.from_iterable(ACTIONS.values()))
    for command in (*COMMANDS, 'mmgcvit'):
        for meaning in read_habits(command).values():
            if ' ' in meaning:
                assert {*re.findall(r'--[a-z][a-z-]*', meaning)} <= every_option, meaning
                named = re.findall(r'(?<!mim run )mmgcvit ([a-z][a-z-]*)', meaning)
                assert {*named} <= COMMANDS.keys(), meaning


@pytest.mark.parametrize('command', COMMANDS)
def test_an_alias_is_its_option_in_every_spelling_and_others_are_answered(command, parse):
    """None hides an option: an abbreviation of an option may only be an alias of this option."""
    needed = NEEDED.get(command, 'run')
    for name, meaning in read_habits(command).items():
        hidden = [option for option in ACTIONS[command] if option.startswith(f'--{name}')]
        assert f'--{name}' not in hidden
        key = name.replace('-', '_')
        if ' ' in meaning:
            expected = re.escape(f'--{name} is not an option of {command}. {meaning}')
            with pytest.raises(UserError, match=expected):
                parse(command, f'{needed} --{key} 3')
            continue
        assert hidden in ([], [meaning])
        value = {0: '', '+': 'a=3'}.get(ACTIONS[command][meaning].nargs, '3')
        spellings = [f'--{name} {value}', f'--{key} {value}']
        if value:
            spellings.append(f'--{key}={value}')
        expected = parse(command, f'{needed} {meaning} {value}')
        for words in spellings:
            assert parse(command, f'{needed} {words}') == expected, words


@pytest.mark.parametrize('empty', ['', '--out-dir='])
def test_an_empty_argument_is_rejected(empty, monkeypatch):
    """pathlib would read it as the current folder."""
    monkeypatch.setattr(sys, 'argv', ['mmgcvit predict', 'run', empty])
    with pytest.raises(UserError, match='one of the arguments is empty'):
        parse_args(MODULES['predict'], 'predict')


def test_a_word_for_a_command_is_this_command_or_answered(monkeypatch, capsys):
    for word, meaning in [*read_habits('mmgcvit').items(), ('train=F', "has no command 'train=F'")]:
        monkeypatch.setattr(sys, 'argv', ['mmgcvit', word, '--help'])
        with pytest.raises(SystemExit) as ended:
            main()
        if ' ' in meaning:
            assert meaning in ended.value.code
        else:
            assert f'usage: mmgcvit {meaning}' in capsys.readouterr().out
