"""Compare a resumed config with the checkpoint's."""

import json
import logging
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ..config import iter_settings, list_known_keys
from ..errors import escape_controls

SETTINGS = 'settings'  # key of a checkpoint's meta for the run's settings in types of JSON
MAX_LENGTH = 60  # of a value in messages


def get_plain_settings(cfg: Config) -> dict[str, Any]:
    """Return a config's settings, without its variables, in types of JSON, as checkpoints store
    them.
    """
    known_keys = list_known_keys()
    settings = {name: value for name, value in cfg.to_dict().items() if name in known_keys}
    # mmengine's Runner copies data_preprocessor into the model. Move it, to compare configs.
    if isinstance(settings.get('model'), dict) and 'data_preprocessor' in settings:
        settings['model'].setdefault('data_preprocessor', settings.pop('data_preprocessor'))
    text = json.dumps(settings, default=lambda value: getattr(value, '__name__', str(value)))
    return json.loads(text)


def find_changes(cfg: Config, meta: Any) -> dict[str, str]:
    """Log the settings that differ from those in a checkpoint's ``meta``.

    Return ``name: old -> new`` by name.
    """
    if not isinstance(meta.get(SETTINGS), dict):  # of another program
        return {}
    changes = compare_settings(meta[SETTINGS], get_plain_settings(cfg))
    for name in ('load_from', 'resume'):  # which --resume sets
        changes.pop(name, None)
    if changes:
        lines = escape_controls('\n  '.join(changes.values()))
        print_log(f'resumed with other settings:\n  {lines}', 'current', logging.WARNING)
    return changes


def compare_settings(old: Any, new: Any) -> dict[str, str]:
    """Return ``name: old -> new`` by the dotted name of each setting that differs."""
    then, now = flatten(old), flatten(new)
    changes = {}
    for name in {**then, **now}:
        if name not in then or name not in now or then[name] != now[name]:
            changes[name] = f'{name}: {format_value(then, name)} -> {format_value(now, name)}'
    return changes


def format_value(settings: dict[str, Any], name: str) -> str:
    return f'{settings[name]!r:.{MAX_LENGTH}}' if name in settings else '(none)'


def flatten(settings: Any) -> dict[str, Any]:
    """Return the settings of a nested config, but for the dicts and lists around them, by dotted
    name.
    """
    return {
        name.removeprefix('.'): value
        for name, value in iter_settings(settings, '')
        if not any(iter_settings(value, ''))
    }
