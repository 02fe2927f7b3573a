"""Options that name no setting but a variable of a config file, by which the file writes its settings.

A config is a program that has run when options are merged: a variable that is changed then changes nothing. Here the
file runs again with the variable's new value, or the option is refused.
"""

import ast
import difflib
import hashlib
import inspect
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import FlexibleRunner, Runner
from mmengine.utils import import_modules_from_strings

BASE = '_base_'
# Files with these words name their own folder, or import from it: they cannot be run from another one.
OWN_FOLDER = ('fileDirname', 'read_base')
# What is read of a config beside the arguments of runners: by mmengine's runners, by the hosts' scripts, and here.
ALSO_READ = frozenset(
    {
        *('activation_checkpointing', 'auto_scale_lr', 'compile', 'custom_imports', 'efficient_conv_bn_eval'),
        *('find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'sync_bn', 'tta_model', 'tta_pipeline'),
        'data_checks',
    }
)
MOST_PLACES = 6
OWN_CODE = '. Where code of yours reads it, write it into the file'


def with_variables(cfg: Config, path: str, options: Mapping[str, Any]) -> tuple[Config, dict[str, Any]]:
    """Run a config file again with the variables that options name.

    Args:
        cfg: The config as its file says.
        path: The file.
        options: Dotted names and values, from the command line.

    Returns:
        The config, and the options that are still to be merged: those that name settings.

    Raises:
        SystemExit: An option names what nothing reads, or a variable that changes nothing, or the file does not run
            with a value.
    """
    read = names_read()
    settings = {name: value for name, value in options.items() if name.split('.')[0] in read}
    named = {name: value for name, value in options.items() if name not in settings}
    for name in named:
        if name.split('.')[0] not in cfg:
            raise SystemExit(unknown(name, path, {*read, *cfg.keys()}))
    if not named:
        return cfg, settings
    variables = variables_of(path)
    changed = {name: value for name, value in named.items() if name not in cfg or cfg[name] != value}
    for name in changed:
        if name not in variables:
            raise SystemExit(without_effect(name, cfg, path))
    values = {name: of_its_kind(value, variables[name]) for name, value in changed.items()}
    return (run_again(path, values) if values else cfg), settings


def names_read() -> frozenset[str]:
    """The names at the top of a config that a runner, a host's script or this project reads."""
    arguments = (inspect.signature(runner.__init__).parameters for runner in (Runner, FlexibleRunner))
    return ALSO_READ.union(*arguments)


def variables_of(path: str) -> dict[str, Any]:
    """The variables that a Python config writes out at its top and uses, with their values; none of other files."""
    if Path(path).suffix != '.py':
        return {}
    source = Path(path).read_text(encoding='utf-8')
    if any(word in source for word in OWN_FOLDER):
        return {}
    try:
        tree = ast.parse(source)
    except SyntaxError:  # mmengine puts names in double braces in before it parses
        return {}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    found = {}
    for name, node in assignments_in(tree):
        if name in used and name not in found and is_literal(node.value):
            found[name] = ast.literal_eval(node.value)
    return found


def is_literal(node: ast.expr) -> bool:
    """Whether a value is written out."""
    try:
        ast.literal_eval(node)
    # TypeError: braces in braces, mmengine's way to name variables of the environment.
    except (ValueError, TypeError):
        return False
    return True


def assignments_in(tree: ast.Module) -> Iterator[tuple[str, ast.Assign]]:
    """The plain assignments at the top of a program, by name."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node


def of_its_kind(value: Any, before: Any) -> Any:
    """A value from the command line, a tuple where there was one: a single name makes a tuple of one."""
    if not isinstance(before, tuple):
        return value
    return tuple(value) if isinstance(value, (list, tuple)) else (value,)


def run_again(path: str, values: Mapping[str, Any]) -> Config:
    """Read a config whose variables have other values.

    Raises:
        SystemExit: It cannot be read with them.
    """
    tree = ast.parse(Path(path).read_text(encoding='utf-8'))
    replaced = set()
    for name, node in assignments_in(tree):
        if name == BASE:
            node.value = with_absolute_bases(node.value, Path(path).parent)
        elif name in values and name not in replaced:
            node.value = literal(values[name])
            replaced.add(name)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, Path(path).name)
        file.write_text(ast.unparse(ast.fix_missing_locations(tree)), encoding='utf-8')
        try:
            read = Config.fromfile(file)
        # A config is a program: it fails as it likes.
        except Exception as error:
            given = ', '.join(f'{name}={value!r}' for name, value in values.items())
            raise SystemExit(f'{path} cannot be read with {given}: {type(error).__name__}: {error}') from None
    return Config(dict(read.items()), cfg_text=read.text, filename=str(path))


def with_absolute_bases(bases: ast.expr, folder: Path) -> ast.expr:
    """The configs that one inherits from, as found from anywhere; what is not written out is left as it is."""
    return literal(absolute_bases(ast.literal_eval(bases), folder)) if is_literal(bases) else bases


def absolute_bases(bases: str | Sequence[str], folder: Path) -> str | list[str]:
    """Paths as found from anywhere; those in packages, PACKAGE::PATH, as they are."""
    if isinstance(bases, str):
        return bases if '::' in bases else str((folder / bases).resolve())
    return [absolute_bases(base, folder) for base in bases]


def literal(value: Any) -> ast.expr:
    """A value as it is written in a program."""
    return ast.parse(repr(value), mode='eval').body


def unknown(name: str, path: str, known: set[str]) -> str:
    """What is said of an option that nothing reads."""
    first = name.split('.')[0]
    alike = difflib.get_close_matches(first, known, n=1)
    meant = f'; is {name.replace(first, alike[0], 1)} meant?' if alike else ''
    return f'--cfg-options {name}: {path} has no {first!r}, and no runner reads it{meant}{OWN_CODE}'


def without_effect(name: str, cfg: Config, path: str) -> str:
    """What is said of an option that names a variable after which the settings are written."""
    first = name.split('.')[0]
    inside = name.removeprefix(first)
    places = [f'{place}{inside}=...' for place in places_of(first, cfg)][:MOST_PLACES]
    return (
        f'--cfg-options {name} would change nothing: {first!r} is a variable of {path} or of a config below it, and no '
        f'runner reads it; change {" ".join(places) if places else "the settings that are made of it"} instead'
        f'{OWN_CODE}'
    )


def places_of(name: str, cfg: Config) -> Iterator[str]:
    """The settings that a variable stands in: of its name and value, or of its value where that is no mere number."""
    value = cfg[name]
    found = [
        (place, key)
        for top in cfg.keys() & names_read()
        for place, key, setting in settings_in(cfg[top], top)
        if setting == value and type(setting) is type(value)
    ]
    alike = [place for place, key in found if key == name]
    if alike or isinstance(value, (bool, int, float, type(None))):
        yield from sorted(alike)
    else:
        yield from sorted(place for place, _ in found)


def settings_in(value: Any, place: str) -> Iterator[tuple[str, str, Any]]:
    """All settings in a nested config: dotted place, last name of it, value."""
    if isinstance(value, Mapping):
        entries = value.items()
    elif isinstance(value, (list, tuple)) and any(isinstance(inner, (dict, list, tuple)) for inner in value):
        entries = enumerate(value)
    else:
        return
    for key, inner in entries:
        yield f'{place}.{key}', str(key), inner
        yield from settings_in(inner, f'{place}.{key}')


PACKAGE = Path(__file__).resolve().parents[1]
# In a checkout, and in an installed wheel.
PLACES = (PACKAGE.parent / 'configs', PACKAGE / '.mim' / 'configs')


def configs_with(name: str) -> Path:
    """The folder of the configs.

    Args:
        name: A file that must be in it.

    Raises:
        SystemExit: It is in none.
    """
    for place in PLACES:
        if (place / name).is_file():
            return place
    looked = ' nor in '.join(map(str, PLACES))
    raise SystemExit(f'{name} is not in {looked}; install the package again, from a wheel or clone')


def digest_of(config: Path, options: Mapping[str, Any] | None = None) -> str:
    """The SHA-256 of a config with all that it inherits, and with options as training takes them.

    Raises:
        SystemExit: There is no such config, or it has not what an option sets.
    """
    cfg = read_config(str(config), dict(options or {}))
    return hashlib.sha256(repr(cfg.to_dict()).encode()).hexdigest()


def read_config(path: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config and override settings of it, or variables by which its file writes them.

    Raises:
        SystemExit: The file does not exist, or an option would change nothing.
    """
    if not Path(path).is_file():
        raise SystemExit(f'there is no config {path}; the configs of this project are under configs/')
    cfg, settings = with_variables(Config.fromfile(path), path, options or {})
    cfg.merge_from_dict(settings)
    return cfg


def enter_scope(cfg: Config) -> None:
    """Import the modules that a config asks for, and look its types up where it says; runners do so by themselves."""
    import_modules_from_strings(**(cfg.get('custom_imports') or {'imports': []}))
    init_default_scope(cfg.get('default_scope') or 'mmengine')
