"""Translate the options and words of other programs, which ``habits.ini`` lists."""

from collections.abc import Sequence
from configparser import ConfigParser
from pathlib import Path

from ..errors import UserError


def read_habits(command: str) -> dict[str, str]:
    """Return what each name of other programs is in a command, or a sentence for the user.

    The command ``mmgcvit`` has the names of commands, the others those of their options.
    """
    table = ConfigParser(delimiters='=', interpolation=None)
    table.read(Path(__file__).with_name('habits.ini'), encoding='utf-8')
    habits = {}
    for commands in table.sections():
        if command in commands.split():
            for names, meaning in table[commands].items():
                habits |= dict.fromkeys(names.split(), ' '.join(meaning.split()))
    return habits


def translate_options(command: str, arguments: Sequence[str]) -> list[str]:
    """Return a command's arguments with options under their names here.

    Raise a UserError for an option of the table that no option here replaces.
    """
    habits = read_habits(command)
    words = []
    for word in arguments:
        if word.startswith('--'):
            name, equals, value = word.partition('=')
            name = name.replace('_', '-')
            meaning = habits.get(name.removeprefix('--'), name)
            if ' ' in meaning:
                raise UserError(f'{name} is not an option of {command}. {meaning}')
            word = f'{meaning}{equals}{value}'
        words.append(word)
    return words
