"""Options and words of other programs are translated or answered: each row of ``habits.ini`` is
tried.
"""

import re
import sys
from argparse import ArgumentParser
from importlib import import_module
from itertools import chain, permutations

import pytest

from mmgcvit.commands.habits import read_habits
from mmgcvit.commands.main import COMMANDS, main
from mmgcvit.commands.options import parse_args
from mmgcvit.errors import UserError

HABITS = read_habits()
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
        return parse_args(MODULES[command])

    return parse


def list_habits(command):
    return [(name, meaning) for (section, name), meaning in HABITS.items() if section == command]


def test_a_sentence_names_only_options_and_commands_that_exist():
    every_option = set(chain.from_iterable(ACTIONS.values()))
    for meaning in HABITS.values():
        if ' ' in meaning:
            assert {*re.findall(r'--[a-z][a-z-]*', meaning)} <= every_option, meaning
            assert {*re.findall(r'mmgcvit ([a-z][a-z-]*)', meaning)} <= COMMANDS.keys(), meaning


@pytest.mark.parametrize('command', COMMANDS)
def test_the_table_hides_no_option(command):
    """An abbreviation of an option may only be an alias of this option."""
    for name, meaning in list_habits(command):
        hidden = [option for option in ACTIONS[command] if option.startswith(f'--{name}')]
        assert f'--{name}' not in hidden
        assert ' ' in meaning or hidden in ([], [meaning])


@pytest.mark.parametrize('command', COMMANDS)
def test_an_alias_is_its_option_in_every_spelling_and_others_are_answered(command, parse):
    needed = NEEDED.get(command, 'run')
    for name, meaning in list_habits(command):
        key = name.replace('-', '_')
        if ' ' in meaning:
            expected = re.escape(f'--{name} is not an option of {command}. {meaning}')
            with pytest.raises(UserError, match=expected):
                parse(command, f'{needed} --{key} 3')
        elif meaning.startswith('--'):
            value = 'a=3' if meaning == '--cfg-options' else '3'
            spellings = [f'{meaning} {value}', f'--{name} {value}', f'--{key}={value}']
            if ACTIONS[command][meaning].nargs == 0:
                value = 'True'
                spellings = [meaning, f'--{name}', f'--{key}']
            expected, *found = [parse(command, f'{needed} {words}') for words in spellings]
            if needed == 'run':
                found.append(parse(command, f'model=run {key}={value}'))
            assert found == [expected] * len(found), name


@pytest.mark.parametrize('first', ['--model run', '--config=run', 'run'])
def test_model_and_images_have_their_places_whatever_the_order(first, parse):
    expected = parse('predict', 'run a.jpg b.jpg --score-thr 0.5 --classes cat')
    for order in permutations([first, '--source a.jpg b.jpg', '--conf 0.5', '--classes cat']):
        if first != 'run' or order[0] == 'run':
            assert parse('predict', ' '.join(order)) == expected


def test_settings_end_at_the_first_option(parse):
    found = parse('train', 'data=F half=True --cfg-options work_dir=x resume=True')
    assert (found.data, found.amp, found.resume) == ('F', True, None)
    assert found.cfg_options == ['work_dir=x', 'resume=True']


@pytest.mark.parametrize('first', ['a=1', '--conf 0.5 a=1'])
def test_inputs_may_follow_any_option_and_a_path_may_contain_an_equals_sign(
    first, parse, monkeypatch, tmp_path
):
    (tmp_path / 'a=1').mkdir()
    monkeypatch.chdir(tmp_path)
    found = parse('predict', f'{first} --classes cat --source=-x.jpg b.jpg')
    assert (found.config, found.classes) == ('a=1', ['cat'])
    assert [found.checkpoint, *found.inputs] == ['-x.jpg', 'b.jpg']


@pytest.mark.parametrize('empty', ['', '--out-dir='])
def test_an_empty_argument_is_rejected(empty, monkeypatch):
    """pathlib would read it as the current folder."""
    monkeypatch.setattr(sys, 'argv', ['mmgcvit predict', 'run', empty])
    with pytest.raises(UserError, match='one of the arguments is empty'):
        parse_args(MODULES['predict'])


def test_a_word_for_a_command_is_this_command_or_answered(monkeypatch, capsys):
    for word, meaning in [*list_habits('mmgcvit'), ('train=F', "has no command 'train=F'")]:
        monkeypatch.setattr(sys, 'argv', ['mmgcvit', word, '--help'])
        with pytest.raises(SystemExit) as ended:
            main()
        if ' ' in meaning:
            assert meaning in ended.value.code
        else:
            assert f'usage: mmgcvit {meaning}' in capsys.readouterr().out
