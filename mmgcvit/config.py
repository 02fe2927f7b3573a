"""Read configs, with options that are checked; and compare them with the configs that checkpoints hold as text."""

from __future__ import annotations

import ast
import inspect
import re
import traceback
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from reprlib import Repr
from typing import TYPE_CHECKING, Any

from .errors import BROUGHT_BY, UserError, first_line, needs, suggest

if TYPE_CHECKING:
    from mmengine.config import Config

PACKAGE = Path(__file__).resolve().parent
# In a checkout, and in an installed wheel.
PLACES = (PACKAGE.parent / 'configs', PACKAGE / '.mim' / 'configs')
# Settings that are no arguments of runners: mmengine's runners, OpenMMLab's scripts or this package read them.
ALSO_READ = frozenset(
    {
        *('activation_checkpointing', 'auto_scale_lr', 'compile', 'custom_imports', 'efficient_conv_bn_eval'),
        *('find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'sync_bn', 'tta_model', 'tta_pipeline'),
        'data_checks',
    }
)
MOST_PLACES = 6
ABSENT = object()
# In messages.
BRIEF = Repr()
BRIEF.maxstring = BRIEF.maxother = 60


def configs_with(name: str) -> Path:
    """The folder of the configs, in which there must be a file of this name."""
    for place in PLACES:
        if (place / name).is_file():
            return place
    looked = ' nor in '.join(map(str, PLACES))
    raise UserError(f'{name} is not in {looked}; install the package again, from a wheel or clone')


def config_path(name: str) -> str:
    """The path of a config of this project by that under ``configs/``, wherever these are, for another's ``_base_``."""
    return str(configs_with(name) / name)


def enter_scope(cfg: Config) -> None:
    """Import the modules that a config asks for, and look its types up where it says; runners do so by themselves."""
    from mmengine.registry import init_default_scope
    from mmengine.utils import import_modules_from_strings

    import_modules_from_strings(**(cfg.get('custom_imports') or {'imports': []}))
    init_default_scope(cfg.get('default_scope') or 'mmengine')


def is_drawn(cfg: Config) -> bool:
    """Whether a config's model is of a task whose predictions are drawn here: of these hosts, and no tracker."""
    return cfg.get('default_scope') in ('mmdet', 'mmseg', 'mmpretrain') and 'tracker' not in cfg.model


def read_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config and override settings by their dotted names.

    Options that would change nothing are rejected: a name that no runner reads, or a variable of the file, from which
    the settings were made when the file ran.
    """
    check_config(path)
    from mmengine.config import Config

    try:
        cfg = Config.fromfile(path)
    # A config is a program: it may raise anything.
    except Exception as error:
        raise UserError(f'{path}: {why_not_read(error)}') from None
    read = names_read()
    for name in options or {}:
        first, dot, inside = name.partition('.')
        if first in cfg and first not in read:
            raise without_effect(name, cfg, path)
        if first not in read:
            instead = suggest(first, read, lambda known, rest=dot + inside: known + rest)
            raise UserError(f'--cfg-options {name}: no runner reads {first!r}, and {path} does not have it{instead}')
    cfg.merge_from_dict(dict(options or {}))
    return cfg


def overrides(texts: Mapping[str, str] | None) -> dict[str, Any]:
    """What ``--cfg-options`` has as texts, read as mmengine reads them on a command line."""
    if not texts:
        return {}
    from mmengine.config import DictAction

    given = Namespace(options={})
    DictAction([], 'options')(None, given, [f'{name}={text}' for name, text in texts.items()])
    return given.options


def check_config(path: str | Path) -> None:
    """Raise a UserError if there is no such config."""
    if not Path(path).is_file():
        raise UserError(
            f'there is no config {path}; the configs of this project are under configs/{suggest_config(path)}'
        )


def suggest_config(path: str | Path) -> str:
    """The end of a message about a missing config: one with a similar name, of its folder or of this project."""
    folders = (*PLACES, Path(path).expanduser().parent)
    files = {file.stem: str(file) for folder in folders for file in folder.glob('*.py')}
    return suggest(Path(path).stem, files, files.get)


def why_not_read(error: BaseException) -> str:
    """Why a config cannot be read, and in which line of it, of one below it or of a module that it imports."""
    # mmengine says only which of custom_imports it cannot import.
    while isinstance(error, ImportError) and (inner := error.__cause__ or error.__context__):
        error = inner
    # For a package that a config inherits from, mmengine gives the name in the message alone.
    if isinstance(error, ModuleNotFoundError) and (name := error.name or str(error).split()[0]) in BROUGHT_BY:
        return needs('it', name)
    # By an assertion a config itself says what is wrong with it.
    if isinstance(error, AssertionError) and str(error):
        return first_line(error)
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == '<module>']
    where = f' ({lines[-1].filename}, line {lines[-1].lineno})' if lines else ''
    return f'it is not a config: {type(error).__name__}: {first_line(error)}{where}'


def names_read() -> frozenset[str]:
    """The names at the top of a config that a runner, a script of OpenMMLab or this package reads."""
    from mmengine.runner import Runner

    return ALSO_READ.union(inspect.signature(Runner.__init__).parameters)


def without_effect(name: str, cfg: Config, path: str | Path) -> UserError:
    """The error for an option that names a variable of a config: it names settings of the same value instead."""
    first, _, inside = name.partition('.')
    variable = cfg[first]
    # A mere number stands in many places: only settings of the same name are meant.
    ending = f'.{first}' if isinstance(variable, (bool, int, float, type(None))) else ''
    places = sorted(
        place
        for top in cfg.keys() & names_read()
        for place, setting in settings_in(cfg[top], top)
        if place.endswith(ending) and type(setting) is type(variable) and setting == variable
    )
    instead = ' '.join(f'{place}{inside and "."}{inside}=...' for place in places[:MOST_PLACES])
    return UserError(
        f'--cfg-options {name} would change nothing: {first!r} is a variable of {path} or of a config below it, not a '
        f'setting; change its line, or {instead or "the settings that are made of it"}'
    )


def settings_in(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """All settings in a nested config with their dotted places."""
    entries = ()
    if isinstance(value, Mapping):
        entries = value.items()
    elif isinstance(value, (list, tuple)) and any(isinstance(inner, (dict, list, tuple)) for inner in value):
        entries = enumerate(value)
    for key, inner in entries:
        yield f'{place}.{key}', inner
        yield from settings_in(inner, f'{place}.{key}')


def dicts_in(*values: Any) -> Iterator[dict[str, Any]]:
    """All dicts in nested configs, which may be changed meanwhile."""
    return (inner for _, inner in settings_in(list(values), '') if isinstance(inner, dict))


def plain_settings(cfg: Config) -> dict[str, Any] | None:
    """The settings of a config, as :func:`parse_config` reads them from a checkpoint."""
    from mmengine.config import Config

    # Through the same text, so that classes and numbers come out alike; without yapf, which takes a second.
    return parse_config(Config(cfg.to_dict(), format_python_code=False).pretty_text)


def parse_config(text: Any) -> dict[str, Any] | None:
    """The settings in a config that mmengine has written as text, or None. The text is parsed, never run."""
    try:
        # As mmengine 0.10.7 writes a class; later versions write its name.
        tree = ast.parse(re.sub(r"<class '([\w.]+)'>", r'\1', text))
        values = {statement.targets[0].id: value_of(statement.value) for statement in tree.body}
    # A text that mmengine did not write. The last two: nested too deep.
    except (SyntaxError, ValueError, TypeError, AttributeError, IndexError, RecursionError, MemoryError):
        return None
    settings = {name: values[name] for name in values if name in names_read()}
    # The runner moves it there.
    if isinstance(settings.get('model'), dict) and 'data_preprocessor' in settings:
        settings['model'].setdefault('data_preprocessor', settings.pop('data_preprocessor'))
    return settings


def value_of(node: ast.expr) -> Any:
    """The value of literals and calls of ``dict``, tuples as lists; of anything else, as ``range(3)``, its text."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict':
        merged = [value_of(each) for each in node.args] + [{word.arg: value_of(word.value)} for word in node.keywords]
        return {name: value for part in merged for name, value in part.items()}
    if isinstance(node, ast.Dict):
        return {value_of(key): value_of(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple):
        return [value_of(each) for each in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def differences(then: Any, now: Any, name: str = '') -> Iterator[tuple[str, str]]:
    """The dotted names of settings in which two parsed configs differ, each with ``NAME: THEN -> NOW``."""
    are_lists = isinstance(then, list) and isinstance(now, list) and len(then) == len(now)
    if are_lists and any(isinstance(item, dict | list) for item in then):
        then, now = dict(enumerate(then)), dict(enumerate(now))
    if isinstance(then, dict) and isinstance(now, dict):
        for key in {**then, **now}:
            yield from differences(then.get(key, ABSENT), now.get(key, ABSENT), f'{name}.{key}' if name else str(key))
    elif then != now:
        values = ('(none)' if value is ABSENT else BRIEF.repr(value) for value in (then, now))
        yield name, f'{name}: {" -> ".join(values)}'
