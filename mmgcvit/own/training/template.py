"""Fill in a config: replace values of the variables at its head, which are literals."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from pprint import pformat
from typing import Any

from ...errors import UserError
from ...host.files import read_text

# The comment behind the head, and a variable in it.
END_OF_HEAD = '# Derived from the settings above.'
VARIABLE = re.compile(r'^(\w+) = (.*)$', re.MULTILINE)
DOCSTRING = re.compile(r'\A""".*?"""\n', re.DOTALL)
# The variables that all templates have at their head. fine_tune is the last one, so it is missing
# where a head was cut off.
NEEDED = {
    'classes',
    'data_root',
    'train_images',
    'val_images',
    'load_from',
    'image_size',
    'batch_size',
    'flip',
    'fine_tune',
}


class ConfigPath(str):
    """A path relative to ``configs/``. Its ``repr`` is code that finds it in any installation."""

    def __repr__(self) -> str:
        return f"__import__('mmgcvit').get_config_path({str(self)!r})"


def read_head(path: Path) -> dict[str, Any]:
    """Return the variables at the head of a template.

    Raise a UserError unless each is a literal in one line, and all of :data:`NEEDED` are there.
    """
    head = {}
    try:
        for name, value in VARIABLE.findall(read_text(path).partition(END_OF_HEAD)[0]):
            head[name] = ast.literal_eval(value)
    except (SyntaxError, ValueError):
        head = {}
    if not head.keys() >= NEEDED:
        raise UserError(
            f'{path} was edited, so that it cannot be filled in: its first lines must be a '
            'docstring and NAME = LITERAL. Restore it, and train a copy: mmgcvit train COPY'
        )
    return head


def fill_template(path: Path, head: Mapping[str, Any]) -> str:
    """Return a config without its docstring, with other values of variables at its head."""
    old_head, mark, rest = read_text(path).partition(END_OF_HEAD)

    def fill_in(line: re.Match[str]) -> str:
        name = line[1]
        return format_variable(name, head[name]) if name in head else line[0]

    return VARIABLE.sub(fill_in, DOCSTRING.sub('', old_head)) + mark + rest


def format_variable(name: str, value: Any) -> str:
    """Return the assignment of a value to a variable as Python code."""
    return f'{name} = {pformat(value, width=100, sort_dicts=False)}'
