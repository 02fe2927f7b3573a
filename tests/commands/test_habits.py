"""Options and words of other programs are translated or answered: each row of ``habits.ini`` is
tried.
"""

import re
import sys
from argparse import ArgumentParser
from contextlib import nullcontext
from importlib import import_module
from itertools import chain, permutations

import pytest

from mmgcvit.commands.main import COMMANDS, main
from mmgcvit.commands.options import parse_args, read_habits
from mmgcvit.errors import UserError

HABITS = read_habits()
MODULES = {name: import_module(f'mmgcvit.commands.{name.replace("-", "_")}') for name in COMMANDS}
# The positional arguments without which a command does not parse.
NEEDED = {
    'train': [],
    'export': ['run', 'out.onnx'],
    'visualize': ['queries', 'run', 'a.jpg'],
    'convert': ['a', 'b'],
}


def find_actions(command):
    parser = ArgumentParser()
    MODULES[command].add_options(parser)
    return {
        name: action
        for action in parser._actions
        for name in [*action.option_strings, action.metavar]
    }


ACTIONS = {name: find_actions(name) for name in COMMANDS}


def parse(monkeypatch, command, *arguments):
    monkeypatch.setattr(sys, 'argv', [f'mmgcvit {command}', *arguments])
    return parse_args(MODULES[command])


@pytest.mark.parametrize('command', COMMANDS)
def test_the_table_hides_no_option_and_names_only_what_exists(command):
    for (_, name), text in ((key, text) for key, text in HABITS.items() if key[0] == command):
        options = [option for option in ACTIONS[command] if str(option).startswith(f'--{name}')]
        # An abbreviation of an option may only be an alias of this option.
        assert f'--{name}' not in options
        assert ' ' in text or options in ([], [text])
        assert ' ' in text or any(str(own).startswith(text) for own in ACTIONS[command])
    every_option = {option for actions in ACTIONS.values() for option in actions}
    for (_, name), text in ((key, text) for key, text in HABITS.items() if ' ' in text):
        assert {*re.findall(r'--[a-z][a-z-]*', text)} <= every_option, name
        assert {*re.findall(r'mmgcvit ([a-z][a-z-]*)', text)} <= COMMANDS.keys(), name


@pytest.mark.parametrize('command', COMMANDS)
def test_an_alias_is_its_option_in_every_spelling_and_others_are_answered(command, monkeypatch):
    needed = NEEDED.get(command, ['run'])
    for (_, name), text in ((key, text) for key, text in HABITS.items() if key[0] == command):
        typed, key = f'--{name}', name.replace('-', '_')
        if ' ' in text:
            with pytest.raises(
                UserError, match=f'{typed} is not an option of {command}. {re.escape(text)}'
            ):
                parse(monkeypatch, command, *needed, f'--{key}', '3')
        elif text.startswith('--'):
            values = ['a=3' if text == '--cfg-options' else '3'] * (
                ACTIONS[command][text].nargs != 0
            )
            expected = parse(monkeypatch, command, *needed, text, *values)
            spellings = [
                [typed, *values],
                [f'--{key}', *values],
                *([f'{typed}={value}'] for value in values),
            ]
            assert all(
                parse(monkeypatch, command, *needed, *spelling) == expected
                for spelling in spellings
            )
            if needed == ['run']:
                assert (
                    parse(
                        monkeypatch, command, 'model=run', f'{key}={values[0] if values else True}'
                    )
                    == expected
                )


@pytest.mark.parametrize('first', [['--model', 'run'], ['--config=run'], ['run']])
def test_model_and_images_have_their_places_whatever_the_order(first, monkeypatch):
    expected = parse(
        monkeypatch, 'predict', 'run', 'a.jpg', 'b.jpg', '--score-thr', '0.5', '--classes', 'cat'
    )
    for order in permutations(
        [first, ['--source', 'a.jpg', 'b.jpg'], ['--conf', '0.5'], ['--classes', 'cat']]
    ):
        if first != ['run'] or order.index(first) == 0:
            assert parse(monkeypatch, 'predict', *chain(*order)) == expected


def test_settings_end_at_the_first_option_and_inputs_may_follow_any_option(monkeypatch, tmp_path):
    found = parse(
        monkeypatch, 'train', 'data=F', 'half=True', '--cfg-options', 'work_dir=x', 'resume=True'
    )
    assert (found.data, found.amp, found.resume, found.cfg_options) == (
        'F',
        True,
        None,
        ['work_dir=x', 'resume=True'],
    )
    (tmp_path / 'a=1').mkdir()
    monkeypatch.chdir(tmp_path)
    found = parse(
        monkeypatch,
        'predict',
        '--conf',
        '0.5',
        'a=1',
        '--classes',
        'cat',
        '--source=-x.jpg',
        'b.jpg',
    )
    assert (found.config, found.checkpoint, found.inputs, found.classes) == (
        'a=1',
        '-x.jpg',
        ['b.jpg'],
        ['cat'],
    )
    for empty in ('', '--out-dir='):  # pathlib's current folder
        with pytest.raises(UserError, match='one of the arguments is empty'):
            parse(monkeypatch, 'predict', 'run', empty)


def test_a_word_for_a_command_is_this_command_or_answered(monkeypatch, capsys):
    for (section, word), text in HABITS.items():
        if section == 'mmgcvit':
            monkeypatch.setattr(sys, 'argv', ['mmgcvit', word, '--help'])
            printed = {'--help': 'Commands, each', '--version': 'mmengine'}.get(text)
            with nullcontext() if printed else pytest.raises(SystemExit) as ended:
                main()
            expected = (
                f'mmgcvit has no command {word!r}. {text}'
                if ' ' in text
                else f'usage: mmgcvit {text}'
            )
            assert (printed or expected) in f'{capsys.readouterr().out}{ended and ended.value}'
    monkeypatch.setattr(sys, 'argv', ['mmgcvit', 'train=F'])
    with pytest.raises(SystemExit, match="has no command 'train=F'"):
        main()
