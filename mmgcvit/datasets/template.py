"""Fill in a config: replace values of the variables at its head, which are literals."""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from pprint import pformat
from typing import Any

from ..errors import UserError
from ..files import read_text

# The variables that all templates have at their head; fine_tune is the last one.
NEEDED = ('classes', 'data_root', 'train_images', 'val_images', 'load_from', 'image_size')
NEEDED += ('batch_size', 'flip', 'fine_tune')
FIND_CONFIG = "__import__('mmgcvit').get_config_path"


class ConfigPath(str):
    """A path relative to ``configs/``. Its ``repr`` is code that finds it in any installation."""

    def __repr__(self) -> str:
        return f'{FIND_CONFIG}({str(self)!r})'


def parse_head(path: Path, names: Iterable[str] = ()) -> dict[str, ast.Assign]:
    """Return the assignments of literals at a config's head.

    Raise a UserError if one of the ``names`` or of :data:`NEEDED` is missing.
    """
    head = {}
    try:
        for statement in ast.parse(read_text(path)).body:
            is_docstring = isinstance(statement, ast.Expr)
            if is_docstring and not head:
                continue
            if not isinstance(statement, ast.Assign):
                break
            (target,) = statement.targets
            if not ast.unparse(statement.value).startswith(FIND_CONFIG):
                ast.literal_eval(statement.value)  # raises an error for other code
            head[target.id] = statement
    except (SyntaxError, ValueError, TypeError, AttributeError):
        head = {}
    if not head.keys() >= {*names, *NEEDED}:
        raise UserError(
            f'{path} was edited, so that it cannot be filled in: its first lines must be a '
            'docstring and NAME = LITERAL. Restore it, and train a copy: mmgcvit train COPY'
        )
    return head


def read_head(path: Path, names: Iterable[str] = ()) -> dict[str, Any]:
    """Return the variables at the head of a template, which must have these names."""
    return {
        name: ast.literal_eval(statement.value)
        for name, statement in parse_head(path, names).items()
    }


def fill_template(path: Path, head: Mapping[str, Any]) -> str:
    """Return a config without its docstring, with other values of variables at its head."""
    text = read_text(path)
    rows = text.splitlines()
    assignments = parse_head(path, head)
    for name, old in reversed(assignments.items()):  # from the last one, so that line numbers stay
        if name in head and ast.unparse(old.value) != repr(head[name]):
            rows[old.lineno - 1 : old.end_lineno] = format_assignments({name: head[name]})
    docstring = ast.parse(text).body[0]
    first = docstring.end_lineno if isinstance(docstring, ast.Expr) else 0
    return '\n'.join([*rows[first:], ''])


def format_assignments(values: Mapping[str, Any]) -> list[str]:
    """Return assignments of values to variables as lines of Python code."""
    lines = []
    for name, value in values.items():
        lines += f'{name} = {pformat(value, width=100, sort_dicts=False)}'.split('\n')
    return lines
