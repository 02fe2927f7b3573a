"""Read configs, check --cfg-options, and compare configs with those stored in checkpoints."""

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

from .errors import PIP_PACKAGES, UserError, format_missing, get_first_line, suggest

if TYPE_CHECKING:
    from mmengine.config import Config

PACKAGE = Path(__file__).resolve().parent
# In a checkout, and in an installed wheel.
PLACES = (PACKAGE.parent / 'configs', PACKAGE / '.mim' / 'configs')
# Top-level settings that are not arguments of mmengine's Runner.
ALSO_READ = frozenset(
    {
        *('activation_checkpointing', 'auto_scale_lr', 'compile', 'custom_imports', 'efficient_conv_bn_eval'),
        *('find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'sync_bn', 'tta_model', 'tta_pipeline'),
        'data_checks',
    }
)
ABSENT = object()
# In messages.
BRIEF = Repr()
BRIEF.maxstring = BRIEF.maxother = 60


def find_configs(name: str) -> Path:
    """Find the folder of the configs that has a file of this name."""
    for place in PLACES:
        if (place / name).is_file():
            return place
    looked = ' nor in '.join(map(str, PLACES))
    raise UserError(f'{name} is not in {looked}; install the package again, from a wheel or clone')


def config_path(name: str) -> str:
    """Return the full path of a config of this project, for the ``_base_`` of another.

    Args:
        name: The path under ``configs/``.
    """
    return str(find_configs(name) / name)


def enter_scope(cfg: Config) -> None:
    """Apply a config's ``custom_imports`` and ``default_scope``, as runners do."""
    from mmengine.registry import init_default_scope
    from mmengine.utils import import_modules_from_strings

    import_modules_from_strings(**(cfg.get('custom_imports') or {'imports': []}))
    init_default_scope(cfg.get('default_scope') or 'mmengine')


def is_drawn(cfg: Config) -> bool:
    """Whether predictions of a config's model can be drawn: mmdet, mmseg or mmpretrain, but not a tracker."""
    return cfg.get('default_scope') in ('mmdet', 'mmseg', 'mmpretrain') and 'tracker' not in cfg.model


def read_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config and override settings by their dotted names.

    Raises:
        UserError: There is no such config, or it fails; or an option would change nothing: no runner reads it, or it is
            a variable of the file, whose value other settings have already used.
    """
    check_config(path)
    from mmengine.config import Config

    try:
        cfg = Config.fromfile(path)
    # A config is a program and may raise anything.
    except Exception as error:
        raise UserError(f'{path}: {explain_error(error)}') from None
    read = list_known_names()
    for name in options or {}:
        first, dot, inside = name.partition('.')
        if first in cfg and first not in read:
            raise UserError(
                f'--cfg-options {name} would change nothing: {first!r} is a variable of {path} or its _base_, not a '
                'setting; edit its line, or override the settings that are made from it'
            )
        if first not in read:
            instead = suggest(first, read, lambda known, rest=dot + inside: known + rest)
            raise UserError(f'--cfg-options {name}: no runner reads {first!r}, and {path} does not have it{instead}')
    cfg.merge_from_dict(dict(options or {}))
    return cfg


def overrides(texts: Mapping[str, str] | None) -> dict[str, Any]:
    """Parse the values of ``--cfg-options`` as mmengine does."""
    if not texts:
        return {}
    from mmengine.config import DictAction

    given = Namespace(options={})
    DictAction([], 'options')(None, given, [f'{name}={text}' for name, text in texts.items()])
    return given.options


def check_config(path: str | Path) -> None:
    """Raise a UserError if a config does not exist."""
    if not Path(path).is_file():
        raise UserError(
            f'there is no config {path}; the configs of this project are under configs/{suggest_config(path)}'
        )


def suggest_config(path: str | Path) -> str:
    """Suggest a config with a similar name, in the same folder or in this project."""
    folders = (*PLACES, Path(path).expanduser().parent)
    files = {file.stem: str(file) for folder in folders for file in folder.glob('*.py')}
    return suggest(Path(path).stem, files, files.get)


def explain_error(error: BaseException) -> str:
    """Explain why a config cannot be read, with the file and line of the error."""
    # mmengine's own error names only the entry of custom_imports.
    while isinstance(error, ImportError) and (inner := error.__cause__ or error.__context__):
        error = inner
    # For a missing package in _base_, mmengine has the name only in the message.
    if isinstance(error, ModuleNotFoundError) and (name := error.name or str(error).split()[0]) in PIP_PACKAGES:
        return format_missing('it', name)
    # A config's own check.
    if isinstance(error, AssertionError) and str(error):
        return get_first_line(error)
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == '<module>']
    where = f' ({lines[-1].filename}, line {lines[-1].lineno})' if lines else ''
    return f'it is not a config: {type(error).__name__}: {get_first_line(error)}{where}'


def list_known_names() -> frozenset[str]:
    """Top-level names of a config that a runner or script reads."""
    from mmengine.runner import Runner

    return ALSO_READ.union(inspect.signature(Runner.__init__).parameters)


def iter_settings(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Iterate over all settings of a nested config with their dotted names."""
    entries = ()
    if isinstance(value, Mapping):
        entries = value.items()
    elif isinstance(value, (list, tuple)) and any(isinstance(inner, (dict, list, tuple)) for inner in value):
        entries = enumerate(value)
    for key, inner in entries:
        yield f'{place}.{key}', inner
        yield from iter_settings(inner, f'{place}.{key}')


def iter_dicts(*values: Any) -> Iterator[dict[str, Any]]:
    """Iterate over all dicts in nested configs; they may be changed meanwhile."""
    return (inner for _, inner in iter_settings(list(values), '') if isinstance(inner, dict))


def get_plain_settings(cfg: Config) -> dict[str, Any] | None:
    """Return a config's settings as :func:`parse_config` reads them from a checkpoint."""
    from mmengine.config import Config

    # Written and parsed alike; without yapf, which takes a second.
    return parse_config(Config(cfg.to_dict(), format_python_code=False).pretty_text)


def parse_config(text: Any) -> dict[str, Any] | None:
    """Parse the settings of a config that mmengine stored as text, without running it; None if it is not one."""
    try:
        # mmengine 0.10.7 writes a class like this; later versions write its name.
        tree = ast.parse(re.sub(r"<class '([\w.]+)'>", r'\1', text))
        values = {statement.targets[0].id: parse_value(statement.value) for statement in tree.body}
    # Not written by mmengine; the last two: nested too deep.
    except (SyntaxError, ValueError, TypeError, AttributeError, IndexError, RecursionError, MemoryError):
        return None
    settings = {name: values[name] for name in values if name in list_known_names()}
    # The runner moves it there.
    if isinstance(settings.get('model'), dict) and 'data_preprocessor' in settings:
        settings['model'].setdefault('data_preprocessor', settings.pop('data_preprocessor'))
    return settings


def parse_value(node: ast.expr) -> Any:
    """Evaluate literals and calls of ``dict``; tuples become lists, anything else its source text."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict':
        merged = [parse_value(each) for each in node.args] + [
            {word.arg: parse_value(word.value)} for word in node.keywords
        ]
        return {name: value for part in merged for name, value in part.items()}
    if isinstance(node, ast.Dict):
        return {parse_value(key): parse_value(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple):
        return [parse_value(each) for each in node.elts]
    try:
        return ast.literal_eval(node)
    except ValueError:
        return ast.unparse(node)


def differences(then: Any, now: Any, name: str = '') -> Iterator[tuple[str, str]]:
    """Iterate over the settings that differ: their dotted names and ``NAME: THEN -> NOW``."""
    are_lists = isinstance(then, list) and isinstance(now, list) and len(then) == len(now)
    if are_lists and any(isinstance(item, dict | list) for item in then):
        then, now = dict(enumerate(then)), dict(enumerate(now))
    if isinstance(then, dict) and isinstance(now, dict):
        for key in {**then, **now}:
            yield from differences(then.get(key, ABSENT), now.get(key, ABSENT), f'{name}.{key}' if name else str(key))
    elif then != now:
        values = ('(none)' if value is ABSENT else BRIEF.repr(value) for value in (then, now))
        yield name, f'{name}: {" -> ".join(values)}'
