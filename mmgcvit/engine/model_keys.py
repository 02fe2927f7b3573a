"""Reject keys of a model's settings that nothing reads, in all commands that build a model."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..host.config import iter_dicts

if TYPE_CHECKING:
    from mmengine.config import Config

# What reads a model's train_cfg and test_cfg, besides the package of the default scope and the
# config's custom_imports. mmseg and mmrotate use heads of mmdet.
READERS = (
    'mmgcvit.models',
    'mmgcvit.fixes.mmdet',
    'mmgcvit.fixes.mmseg',
    'mmcv.ops',
    'mmdet.models',
)
# How code reads a setting of a config.
READING = re.compile(r"""(?:cfg|config)\w*(?:\.|\[['"])(\w+)|\.(?:get|pop)\(\s*['"](\w+)['"]""")
MISSPELT = 0.8  # difflib's similarity of two names: one letter of nine is 0.95


def check_model_keys(cfg: 'Config') -> None:
    """Raise a UserError if a key of the model's ``test_cfg`` or ``train_cfg`` is in no source file
    that may read it, but a similar one is.

    mmdet's own configs have a key that nothing reads any more (``debug``), so another one may stay.
    """
    names: dict[str, str] = {}  # the first path of each key
    for settings in iter_dicts([cfg.get('model')]):
        for section in ('test_cfg', 'train_cfg'):
            for path, key in iter_keys(settings.get(section), section):
                names.setdefault(key, path)
    imports = (cfg.get('custom_imports') or {}).get('imports') or ()
    imports = [imports] if isinstance(imports, str) else imports
    scope = str(cfg.get('default_scope') or '')
    sources = [*READERS, *([f'{scope}.models', *imports] if scope else imports)]
    files = list_files(tuple(sources))
    unread = {*names}
    for file in files:
        if not unread:
            return
        unread -= {*list_words(file)}
    for key in names:
        if key in unread:
            read = {name for file in files for name in list_read(file)}
            for similar in get_close_matches(key, read, n=1, cutoff=MISSPELT):
                raise UserError(f'model.{names[key]}: nothing reads it; did you mean {similar}?')


def iter_keys(settings: Any, path: str) -> Iterator[tuple[str, str]]:
    """Iterate over the (path, key) of settings, except those of a dict with a ``type``, which are
    checked when the type is built.
    """
    if isinstance(settings, list | tuple):
        for index, inner in enumerate(settings):
            yield from iter_keys(inner, f'{path}.{index}')
    if not isinstance(settings, Mapping) or 'type' in settings:
        return
    for key, inner in settings.items():
        yield f'{path}.{key}', key
        yield from iter_keys(inner, f'{path}.{key}')


@cache
def list_files(modules: tuple[str, ...]) -> tuple[Path, ...]:
    """List the source files of modules and packages that are installed."""
    files: list[Path] = []
    for module in modules:
        package, *names = module.split('.')
        spec = find_spec(package)  # of a submodule, it would import the package
        if spec is None:
            continue
        for folder in spec.submodule_search_locations or ():
            path = Path(folder, *names)
            files += sorted(path.rglob('*.py')) if path.is_dir() else [path.with_suffix('.py')]
        if not spec.submodule_search_locations:
            files.append(Path(spec.origin or ''))
    return tuple(file for file in files if file.suffix == '.py' and file.is_file())


@cache
def list_words(file: Path) -> frozenset[str]:
    """Return the words of a source file."""
    return frozenset(re.findall(r'\w+', file.read_text(errors='replace')))


def list_read(file: Path) -> Iterator[str]:
    """Iterate over the names of the settings that a source file reads."""
    for match in READING.finditer(file.read_text(errors='replace')):
        yield match[1] or match[2]
