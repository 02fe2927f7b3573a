"""Translate the options and words of other programs, which ``habits.ini`` lists."""

import re
from collections.abc import Sequence
from configparser import ConfigParser
from itertools import product, takewhile
from pathlib import Path

from ..errors import UserError


def read_habits() -> dict[tuple[str, str], str]:
    """Return what each (command, name) of other programs is here, or a sentence for the user."""
    table = ConfigParser(delimiters='=', interpolation=None)
    table.read_string(Path(__file__).with_name('habits.ini').read_text(encoding='utf-8'))
    habits = {}
    for commands in table.sections():
        for names, meaning in table[commands].items():
            for pair in product(commands.split(), names.split()):
                habits[pair] = ' '.join(meaning.split())
    return habits


def translate_command(word: str) -> str:
    """Return the command that a word means, or a sentence for the user, or the word."""
    name = word.replace('_', '-')
    key = name.partition('=')[0]
    return read_habits().get(('mmgcvit', key), name)


def translate_arguments(command: str, arguments: Sequence[str]) -> list[str]:
    """Return a command's arguments under their names here, those that are positional here in their
    place.

    KEY=VALUE at the beginning, as ultralytics has, means ``--KEY=VALUE``. Raise a UserError for an
    option of the table that no argument here replaces.
    """
    habits = read_habits()
    settings = list(takewhile(is_setting, arguments))
    words = [f'--{word}'.removesuffix('=True') for word in settings]
    words += arguments[len(settings) :]
    places = {'CONFIG': [], 'options': [], 'INPUT': []}
    place = 'options'
    for index, word in enumerate(words):
        if word == '--':
            places['INPUT'] += words[index + 1 :]
            break
        if word.startswith('-'):
            name, equals, value = word.partition('=')
            name = name.replace('_', '-')
            meaning = habits.get((command, name.removeprefix('--')), name)
            if ' ' in meaning:
                raise UserError(f'{name} is not an option of {command}. {meaning}')
            place = meaning if meaning in places else 'options'
            word = value if place != 'options' else f'{meaning}{equals}{value}'
            if not word:
                continue  # the values of CONFIG or INPUT follow
        places[place].append(word)
    # After --, no argument is a value of the option before, which may take any number of values.
    end = ['--', *places['INPUT']] if places['INPUT'] else []
    return [*places['CONFIG'], *places['options'], *end]


def is_setting(word: str) -> bool:
    return re.match(r'[a-z]\w*=', word) is not None and not Path(word).exists()
