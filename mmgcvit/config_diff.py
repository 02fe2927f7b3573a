"""Configs compared, setting by setting: those of files, and those that checkpoints hold as text, which is never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from math import inf
from reprlib import Repr
from typing import TYPE_CHECKING, Any, NamedTuple

from .config import names_read

if TYPE_CHECKING:
    from mmengine.config import Config

# In messages.
BRIEF = Repr()
BRIEF.maxstring = BRIEF.maxother = 60


class Absent:
    """What a setting is where a config has none."""

    def __repr__(self) -> str:
        return '(none)'


ABSENT = Absent()


class Expression(str):
    """What a config's text has in the place of a plain value; equal to the same text, and never evaluated."""

    __slots__ = ()


class Difference(NamedTuple):
    """A setting in which two configs differ: its place, names and numbers of items; one value and the other."""

    place: tuple[Any, ...]
    then: Any
    now: Any

    @property
    def name(self) -> str:
        """The dotted name, as ``--cfg-options`` takes it."""
        return '.'.join(map(str, self.place))

    def __str__(self) -> str:
        return f'{self.name}: {BRIEF.repr(self.then)} -> {BRIEF.repr(self.now)}'


def plain_settings(cfg: Config) -> dict[str, Any] | None:
    """The settings of a config, as :func:`settings_of_text` reads them from a checkpoint."""
    # Through the same text, so that classes and numbers come out alike; without yapf, which takes a second.
    from mmengine.config import Config

    return settings_of_text(Config(cfg.to_dict(), format_python_code=False).pretty_text)


def settings_of_text(text: Any) -> dict[str, Any] | None:
    """The settings of a config that mmengine has written out; None where it cannot be parsed as one. It is not run."""
    try:
        # As mmengine 0.10.7 writes a class; later ones write its name.
        tree = ast.parse(re.sub(r"<class '([\w.]+)'>", r'\1', text))
        values = {statement.targets[0].id: value_of(statement.value) for statement in tree.body}
    # Of a text that mmengine did not write; the last two where it is nested too deep.
    except (SyntaxError, ValueError, TypeError, AttributeError, IndexError, RecursionError, MemoryError):
        return None
    settings = {name: unwrapped(values[name]) for name in values if name in names_read()}
    if isinstance(settings.get('model'), dict) and 'data_preprocessor' in settings:
        settings['model'].setdefault('data_preprocessor', settings.pop('data_preprocessor'))
    return settings


def value_of(node: ast.expr) -> Any:
    """What literals and calls of ``dict`` stand for; the text of what is neither, as a name or ``range(3)``."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict':
        parts = [value_of(inner) for inner in node.args]
        parts += [{word.arg: value_of(word.value)} if word.arg else value_of(word.value) for word in node.keywords]
        if all(isinstance(part, dict) for part in parts):
            return {name: inner for part in parts for name, inner in part.items()}
    if isinstance(node, ast.Dict) and all(node.keys):
        return {value_of(key): value_of(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple):
        return (list if isinstance(node, ast.List) else tuple)(map(value_of, node.elts))
    try:
        return ast.literal_eval(node)
    except ValueError:
        text = ast.unparse(node)
    return {'inf': inf, '-inf': -inf}.get(text, Expression(text))


def unwrapped(value: Any) -> Any:
    """A value in which no step of a pipeline is wrapped by ``mmgcvit.SkipUnreadable``, as ``mmgcvit train`` does."""
    if isinstance(value, dict):
        return {name: unwrapped(inner) for name, inner in value.items()}
    if not isinstance(value, list | tuple):
        return value
    steps = []
    for inner in map(unwrapped, value):
        is_wrapper = isinstance(inner, dict) and inner.get('type') == 'mmgcvit.SkipUnreadable'
        steps += inner.get('transforms', []) if is_wrapper else [inner]
    return type(value)(steps)


def differences(then: Any, now: Any, place: tuple[Any, ...] = ()) -> Iterator[Difference]:
    """Where two configs, or values in them, differ; a list and a tuple of the same items do not."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        for name in {**then, **now}:
            yield from differences(then.get(name, ABSENT), now.get(name, ABSENT), (*place, name))
        return
    are_lists = isinstance(then, list | tuple) and isinstance(now, list | tuple)
    if are_lists and len(then) == len(now) and any(isinstance(item, dict | list | tuple) for item in then):
        for number, (one, other) in enumerate(zip(then, now, strict=True)):
            yield from differences(one, other, (*place, number))
    elif (list(then) != list(now)) if are_lists else (then != now):
        yield Difference(place, then, now)


def is_of(name: str, patterns: Sequence[str]) -> bool:
    """Whether a dotted name is one of some patterns', in which ``*`` is anything, or lies below one."""
    return any(fnmatchcase(name, pattern) or fnmatchcase(name, f'{pattern}.*') for pattern in patterns)
