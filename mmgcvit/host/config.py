"""Find and read configs, override their settings, and iterate over nested settings."""

import inspect
import re
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError, get_first_line, suggest
from ..ops.packages import TASK_PACKAGES, import_task_package
from ..ops.requirements import BROKEN_PACKAGES, PIP_PACKAGES, format_missing
from .files import expand_user, make_absolute, read_text
from .tasks import TASK_BY_SCOPE

if TYPE_CHECKING:
    from mmengine.config import Config

PACKAGE = Path(__file__).resolve().parents[1]
# This project's configs: in an installed wheel in the first folder, in a clone in the second.
CONFIGS = PACKAGE / '.mim' / 'configs'
if not CONFIGS.is_dir():
    CONFIGS = PACKAGE.parent / 'configs'
# Top-level config keys that have an effect although they are not arguments of mmengine's Runner.
# mmgcvit reads data_checks; mmengine and OpenMMLab's scripts read the other keys.
EXTRA_CONFIG_KEYS = (
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'data_checks',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
)
# Names of packages that track runs, each with mmengine's visualization backend.
TRACKERS = {
    'tensorboard': 'TensorboardVisBackend',
    'wandb': 'WandbVisBackend',
    'mlflow': 'MLflowVisBackend',
    'clearml': 'ClearMLVisBackend',
    'neptune': 'NeptuneVisBackend',
    'aim': 'AimVisBackend',
    'dvclive': 'DVCLiveVisBackend',
}
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def get_config_path(name: str) -> str:
    """Return the absolute path of one of this project's configs, given by its path relative to
    ``configs/``.

    In your own config: ``_base_ = __import__('mmgcvit').get_config_path('mask_rcnn_gcvit_t.py')``.
    """
    return str(CONFIGS / name)


def locate_config(name: str) -> str:
    """Return the path of a config given on the command line: ``name`` itself if it exists, else
    that of the config of this project with this name.

    The name may begin with ``configs/`` or ``mmgcvit::``, and may lack ``.py``, for example
    ``demo/mask_rcnn_gcvit_objects``. So the commands find the configs without a clone.
    """
    if expand_user(name).exists():
        return name
    stem = name.removeprefix('mmgcvit::').removeprefix('configs/').removesuffix('.py')
    path = CONFIGS / f'{stem}.py'
    return str(path) if path.is_file() else name


def enter_scope(cfg: 'Config') -> None:
    """Import a config's ``custom_imports``, and make its ``default_scope`` mmengine's default
    scope.
    """
    from mmengine.registry import init_default_scope
    from mmengine.utils import import_modules_from_strings

    imports = cfg.get('custom_imports')
    if imports:
        import_modules_from_strings(**imports)
    init_default_scope(cfg.get('default_scope') or 'mmengine')


def can_draw_predictions(cfg: 'Config') -> bool:
    """Return whether mmgcvit can draw a model's predictions.

    It can for mmdet (not trackers), mmseg and mmpretrain.
    """
    return cfg.get('default_scope') in TASK_BY_SCOPE and 'tracker' not in cfg.model


def read_config(path: str | Path, options: Mapping[str, Any] | None = None) -> 'Config':
    """Read a config, and override settings by their dotted names.

    Raise a UserError if the config does not exist or raises an error, and those of
    :func:`override_settings`.
    """
    check_config(path)
    from mmengine.config import Config

    try:
        cfg = Config.fromfile(make_absolute(path))
    # A config is Python code and may raise any exception.
    except Exception as error:
        raise UserError(f'{path}: {explain_base(path) or explain_error(error)}') from error
    override_settings(cfg, options or {}, path)
    return cfg


def override_settings(cfg: 'Config', options: Mapping[str, Any], path: str | Path) -> None:
    """Override settings of the config in the file ``path`` by their dotted names, and import the
    packages that it needs.

    Raise a UserError if a package cannot be imported, or if an option would have no effect:
    mmengine reads no such setting, or it is a variable, which the config has already used.
    """
    for name in options:
        check_option(name, cfg, path)
    cfg.merge_from_dict(options)
    scopes = set()
    for settings in iter_dicts(cfg.to_dict()):
        for key in ('default_scope', '_scope_', 'type'):
            scopes.add(str(settings.get(key)).partition('.')[0])
    # mmengine's registries ignore that a package cannot be imported, and then lack its classes.
    for package in TASK_PACKAGES:
        if package in scopes:
            import_task_package(package)


def check_option(name: str, cfg: 'Config', path: str | Path) -> None:
    """Raise a UserError if the override of a setting would have no effect."""
    key, dot, subkeys = name.partition('.')
    known_keys = list_known_keys()
    if key in known_keys:
        return
    if key in cfg:
        users = [] if dot else list_users(cfg, key, known_keys)
        others = 'the settings that use it'
        if users:
            others = f'all settings that use it: {", ".join(users)}'
        raise UserError(
            f'overriding {name} would have no effect, because {key!r} is not a setting but a '
            f'variable in {path} or its _base_. Edit it there, or override {others}',
            arguments=['cfg_options'],
        )
    suggestion = suggest(key, known_keys, lambda known: f'{known}{dot}{subkeys}')
    raise UserError(
        f"overriding {name}: {path} has no setting {key!r}, and mmengine's Runner reads no "
        f'such setting{suggestion}',
        arguments=['cfg_options'],
    )


def list_users(cfg: 'Config', variable: str, keys: Collection[str]) -> list[str]:
    """List the settings below these keys that are a variable's text, or a path that ends in it.

    For a variable of another type this cannot be seen. Then the list is empty.
    """
    text = cfg[variable]
    if not isinstance(text, str) or not text:
        return []
    found = []
    for key in cfg:
        for name, value in iter_settings(cfg[key], key) if key in keys else ():
            if isinstance(value, str) and (value == text or value.endswith(f'/{text}')):
                found.append(name)
    return found


def check_config(path: str | Path) -> None:
    """Raise a UserError if a file is not a config, a Python file."""
    if not Path(path).is_file() or Path(path).suffix != '.py':
        raise UserError(
            f'there is no config {path}{suggest_config(path)}. Configs are Python files. Those of '
            'this project are in configs/'
        )


def suggest_config(path: str | Path) -> str:
    """Return ``; did you mean CONFIG?``, with one of this project or beside ``path``, or '' if no
    name is similar.
    """
    files: dict[str, str] = {}
    # Deep folders first, so that of two configs with one name the upper one is suggested.
    for file in sorted(CONFIGS.rglob('*.py'), key=lambda each: -len(each.parts)):
        name = file.relative_to(CONFIGS).with_suffix('')
        if '_base_' not in name.parts:
            files[file.stem] = str(name)
    files |= {file.stem: str(file) for file in expand_user(path).parent.glob('*.py')}
    return suggest(Path(path).stem, files, files.get)


def explain_base(path: str | Path) -> str:
    """Return what to write instead of a ``_base_`` of this project with ``::``, which mmengine
    reads for OpenMMLab's packages only; '' if a config has none.
    """
    base = re.search(
        r"""^_base_\b[^#]*?['"]mmgcvit::([\w./-]+)['"]""", read_text(Path(path)), re.MULTILINE
    )
    if base is None:
        return ''
    name = base[1].removesuffix('.py')
    return (
        f"mmengine does not find 'mmgcvit::{base[1]}', since it knows only OpenMMLab's own "
        f"packages by '::'. Write _base_ = __import__('mmgcvit').get_config_path('{name}.py')"
    )


def explain_error(error: BaseException) -> str:
    """Return why a config cannot be read, with the file and line of the error."""
    # For a failed import, mmengine's error names the entry of custom_imports. Its cause names the
    # missing module.
    while type(error) is ImportError and (cause := error.__cause__ or error.__context__):
        error = cause
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ModuleNotFoundError):
        # If the package of a _base_ is missing, mmengine's error has its name only in the message.
        name = error.name or str(error).partition(' ')[0]
        package = name.partition('.')[0]
        if name in PIP_PACKAGES or package in BROKEN_PACKAGES:
            return format_missing('the config', package)
    location = ''
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.name == '<module>':
            location = f' ({frame.filename}, line {frame.lineno})'
    return f'it cannot be read: {type(error).__name__}: {get_first_line(error)}{location}'


def list_known_keys() -> set[str]:
    """Return the top-level config keys that mmengine's Runner or a script reads.

    They are settings; other keys are variables.
    """
    from mmengine.runner import Runner

    return {*EXTRA_CONFIG_KEYS, *inspect.signature(Runner).parameters}


def iter_settings(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Iterate over all settings of a nested config; yield ``prefix.NAME`` and the value of each.

    A list without dicts or lists in it, such as an image's size, is one setting.
    """
    entries: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        entries = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(x, dict | list | tuple) for x in value):
        entries = enumerate(value)
    for key, inner in entries:
        yield f'{prefix}.{key}', inner
        yield from iter_settings(inner, f'{prefix}.{key}')


def iter_dicts(*values: Any) -> Iterator[dict[str, Any]]:
    """Iterate over all dicts in nested configs. The caller may change a dict when it is yielded."""
    return (inner for _, inner in iter_settings(list(values), '') if isinstance(inner, dict))


def get_type_name(cfg: Mapping[str, Any] | None) -> str:
    """Return the name in a config's ``type`` (a str or a class) without scope or module, for
    example ``'GCViT'``.
    """
    name_or_class = (cfg or {}).get('type', '')
    return getattr(name_or_class, '__name__', str(name_or_class)).split('.')[-1]


def find_max_objects(model: Any) -> float:
    """Return how many objects a detector finds in an image at most.

    ``model`` is its network or its config, maybe in a wrapper for test-time augmentation, which
    has a limit of its own.
    """
    limits = [inf, getattr(model, 'num_queries', 0)]
    for settings in iter_dicts(getattr(model, 'test_cfg', None), getattr(model, 'tta_cfg', None)):
        limits += [settings.get('max_per_img', 0), settings.get('max_per_image', 0)]
    for part in ('module', 'panoptic_head'):
        if hasattr(model, part):
            limits.append(find_max_objects(getattr(model, part)))
    return min(limit for limit in limits if limit and limit > 0)
