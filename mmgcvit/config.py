"""Configs: where they are, and reading one with options, each of which takes effect or is refused.

A config is a program that has run when options are merged: an option that names a variable by which the file writes its
settings would then change nothing. Such a file runs again, the variable having the new value.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import tempfile
import traceback
from argparse import Namespace
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import BROUGHT_BY, UserError, first_line, needs, suggest

if TYPE_CHECKING:
    from mmengine.config import Config

PACKAGE = Path(__file__).resolve().parent
# In a checkout, and in an installed wheel.
PLACES = (PACKAGE.parent / 'configs', PACKAGE / '.mim' / 'configs')
# What is read of a config beside the arguments of runners: by mmengine's runners, by the hosts' scripts, and here.
ALSO_READ = frozenset(
    {
        *('activation_checkpointing', 'auto_scale_lr', 'compile', 'custom_imports', 'efficient_conv_bn_eval'),
        *('find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'sync_bn', 'tta_model', 'tta_pipeline'),
        'data_checks',
    }
)
# Files with these words name their own folder, or import from it: they cannot be run from another one.
OWN_FOLDER = ('fileDirname', 'read_base')
MOST_PLACES = 6
OWN_CODE = ' Where code of yours reads it, write it into the file'


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


def digest_of(config: Path, options: Mapping[str, Any] | None = None) -> str:
    """The SHA-256 of a config with all that it inherits, and with options as training takes them."""
    cfg = read_config(str(config), dict(options or {}))
    return hashlib.sha256(repr(cfg.to_dict()).encode()).hexdigest()


def read_config(path: str | Path, options: Mapping[str, Any] | None = None) -> Config:
    """Read a config and override settings of it, or variables by which its file writes them, by their dotted names.

    Refused is an option that names what nothing reads, or a variable that changes nothing.
    """
    check_config(path)
    from mmengine.config import Config

    try:
        cfg = Config.fromfile(path)
    # A config is a program: it fails as it likes.
    except Exception as error:
        raise UserError(f'{path}: {why_not_read(error)}') from None
    settings, variables = {}, {}
    read = names_read()
    for name, value in (options or {}).items():
        first, dot, inside = name.partition('.')
        if first in read:
            settings[name] = value
        elif first not in cfg:
            instead = suggest(first, {*read, *cfg.keys()}, lambda known, rest=dot + inside: known + rest)
            raise UserError(
                f'--cfg-options {name}: {path} has no {first!r}, and no runner reads it{instead or "."}{OWN_CODE}'
            )
        elif name not in cfg or cfg[name] != value:
            variables[name] = value
    if variables:
        cfg = run_again(path, variables, cfg)
    cfg.merge_from_dict(settings)
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
    """Refuse a config that is not there."""
    if not Path(path).is_file():
        raise UserError(
            f'there is no config {path}; the configs of this project are under configs/{config_meant(path)}'
        )


def config_meant(path: str | Path) -> str:
    """What ends a message about a config that is not there: the one whose name is like it, beside it or of ours."""
    folders = (*PLACES, Path(path).expanduser().parent)
    files = {file.stem: str(file) for folder in folders for file in folder.glob('*.py')}
    return suggest(Path(path).stem, files, files.get)


def why_not_read(error: BaseException) -> str:
    """Why a config cannot be read, and in which line of it, of one below it or of a module that it imports."""
    # mmengine says only which of custom_imports it cannot import.
    while isinstance(error, ImportError) and (inner := error.__cause__ or error.__context__):
        error = inner
    # It says of a package that it inherits from, in its words alone, that it is not there.
    if isinstance(error, ModuleNotFoundError) and (name := error.name or str(error).split()[0]) in BROUGHT_BY:
        return needs('it', name)
    if is_own_word(error):
        return first_line(error)
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.name == '<module>']
    where = f' ({lines[-1].filename}, line {lines[-1].lineno})' if lines else ''
    return f'it is no config: {type(error).__name__}: {first_line(error)}{where}'


def is_own_word(error: BaseException) -> bool:
    """Whether a config itself says, by an assertion, what is wrong with it."""
    return isinstance(error, AssertionError) and bool(str(error))


def names_read() -> frozenset[str]:
    """The names at the top of a config that a runner, a host's script or this project reads."""
    from mmengine.runner import FlexibleRunner, Runner

    arguments = (inspect.signature(runner.__init__).parameters for runner in (Runner, FlexibleRunner))
    return ALSO_READ.union(*arguments)


def run_again(path: str, values: Mapping[str, Any], cfg: Config) -> Config:
    """Read a Python config with other values of variables that it writes out at its top and uses.

    ``cfg`` is what it is with its own values.
    """
    from mmengine.config import Config

    source = Path(path).read_text(encoding='utf-8') if Path(path).suffix == '.py' else ''
    try:
        tree = ast.parse('' if any(word in source for word in OWN_FOLDER) else source)
    except SyntaxError:  # mmengine puts names in double braces in before it parses
        tree = ast.parse('')
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    left = dict(values)
    for node in tree.body:
        if not isinstance(node, ast.Assign) or len(node.targets) > 1 or not isinstance(node.targets[0], ast.Name):
            continue
        name = node.targets[0].id
        try:
            value = ast.literal_eval(node.value)
        # Not written out. TypeError: braces in braces, mmengine's way to name variables of the environment.
        except (ValueError, TypeError):
            continue
        if name == '_base_':
            bases = [value] if isinstance(value, str) else value
            # Those in packages, PACKAGE::PATH, are found from anywhere.
            node.value = ast.Constant([b if '::' in b else str((Path(path).parent / b).resolve()) for b in bases])
        elif name in left and name in used:
            given = left.pop(name)
            # A single name makes a tuple of one.
            is_one = isinstance(value, tuple) and not isinstance(given, (list, tuple))
            node.value = ast.Constant((given,) if is_one else tuple(given) if isinstance(value, tuple) else given)
    if left:
        raise without_effect(next(iter(left)), cfg, path)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, Path(path).name)
        file.write_text(ast.unparse(ast.fix_missing_locations(tree)), encoding='utf-8')
        try:
            read = Config.fromfile(file)
        # A config is a program: it fails as it likes.
        except Exception as error:
            given = ', '.join(f'{name}={value!r}' for name, value in values.items())
            said = first_line(error) if is_own_word(error) else f'{type(error).__name__}: {error}'
            raise UserError(f'{path} cannot be read with {given}: {said}') from None
    return Config(dict(read.items()), cfg_text=read.text, filename=str(path))


def without_effect(name: str, cfg: Config, path: str) -> UserError:
    """What is said of an option that names a variable after which the settings are written: these instead.

    They are those of its name and value, or of its value where that is no mere number.
    """
    first, _, inside = name.partition('.')
    variable = cfg[first]
    places = sorted(
        place
        for top in cfg.keys() & names_read()
        for place, setting in settings_in(cfg[top], top)
        if setting == variable and type(setting) is type(variable)
    )
    is_number = isinstance(variable, (bool, int, float, type(None)))
    places = [place for place in places if place.endswith(f'.{first}')] or ([] if is_number else places)
    instead = ' '.join(f'{place}{inside and "."}{inside}=...' for place in places[:MOST_PLACES])
    return UserError(
        f'--cfg-options {name} would change nothing: {first!r} is a variable of {path} or of a config below it, and no '
        f'runner reads it; change {instead or "the settings that are made of it"} instead.{OWN_CODE}'
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
