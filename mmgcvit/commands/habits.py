"""Translate what users of ultralytics, OpenMMLab, RF-DETR and timm type. The table is ``habits.ini``.

The table has a section for each command (``mmgcvit``: words in place of a command), in it the names of options, and for
these the option or the positional argument that means exactly the same here, or else a sentence for the user.
"""

import re
from collections.abc import Sequence
from configparser import ConfigParser
from itertools import dropwhile, product, takewhile
from pathlib import Path

from ..errors import UserError

# The beginning of KEY=VALUE.
KEY = re.compile(r'[a-z]\w*=')


def read_habits() -> dict[tuple[str, str], str]:
    """Return the table: for each (command, name) an option, CONFIG, INPUT, another command, or a sentence."""
    table = ConfigParser(delimiters='=', interpolation=None)
    table.read_string(Path(__file__).with_name('habits.ini').read_text(encoding='utf-8'))
    rows = ((section, *row) for section in table.sections() for row in table.items(section))
    pairs = ((product(commands.split(), names.split()), ' '.join(text.split())) for commands, names, text in rows)
    return {pair: text for row_pairs, text in pairs for pair in row_pairs}


def translate_arguments(command: str, arguments: Sequence[str]) -> list[str]:
    """Return a command's arguments under their names here, those that are positional here in their place.

    If they begin with KEY=VALUE, as ultralytics' do, ``--KEY=VALUE`` is meant, up to the first option. Raise a
    UserError for an option of the table that no argument here replaces.
    """
    habits, moved, rest, words = read_habits(), {'CONFIG': [], 'INPUT': []}, [], list(arguments)
    first = list(takewhile(is_value, words))
    if first and is_setting(first[0]):
        words[: len(first)] = [f'--{word}'.removesuffix('=True') if is_setting(word) else word for word in first]
    while words and words[0] != '--':
        name, equals, value = words.pop(0).partition('=')
        name = name.replace('_', '-') if name.startswith('--') else name
        meaning = habits.get((command, name[2:])) if name.startswith('--') else None
        if meaning in moved:
            moved[meaning] += [value] * bool(equals) + list(takewhile(is_value, words))
            words = list(dropwhile(is_value, words))
        elif meaning is None or meaning.startswith('--'):
            rest.append(f'{meaning or name}{equals}{value}')
        else:
            raise UserError(f'{name} is not an option of {command}. {meaning}')
    # After --, no argument is a value of the option before, which may take any number of values.
    return [*moved['CONFIG'], *rest, *(words or ['--'] * bool(moved['INPUT'])), *moved['INPUT']]


def is_value(word: str) -> bool:
    return not word.startswith('-')


def is_setting(word: str) -> bool:
    return KEY.match(word) is not None and not Path(word).exists()
