"""Translate the options and words of other programs, which ``habits.ini`` lists."""

from collections.abc import Sequence
from configparser import ConfigParser
from itertools import product
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


def translate_options(command: str, arguments: Sequence[str]) -> list[str]:
    """Return a command's arguments with options under their names here.

    Raise a UserError for an option of the table that no option here replaces.
    """
    habits = read_habits()
    words = []
    for word in arguments:
        if word.startswith('--'):
            name, equals, value = word.partition('=')
            name = name.replace('_', '-')
            meaning = habits.get((command, name.removeprefix('--')), name)
            if ' ' in meaning:
                raise UserError(f'{name} is not an option of {command}. {meaning}')
            word = f'{meaning}{equals}{value}'
        words.append(word)
    return words
