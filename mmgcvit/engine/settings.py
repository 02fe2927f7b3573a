"""Compare a resumed config with the checkpoint's."""

import json
import logging
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ..config import iter_settings, list_known_keys
from ..errors import escape_controls

SETTINGS = 'settings'  # key of a checkpoint's meta for the run's settings in types of JSON
ABSENT, MAX_LENGTH = '(none)', 60  # the text of a missing value, and the longest one of a value


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


def find_changes(cfg: Config, meta: Any) -> list[str]:
    """Log the settings that differ from those in a checkpoint's ``meta``.

    Return ``name: old -> new`` for each, with its dotted name.
    """
    if SETTINGS not in meta:  # of another program
        return []
    old, new = flatten(meta[SETTINGS]), flatten(get_plain_settings(cfg))
    changes = []
    for name in {**old, **new}:
        before, after = old.get(name, ABSENT), new.get(name, ABSENT)
        # --resume sets load_from and resume.
        if before != after and name not in ('load_from', 'resume'):
            changes.append(f'{name}: {before:.{MAX_LENGTH}} -> {after:.{MAX_LENGTH}}')
    if changes:
        lines = escape_controls('\n  '.join(changes))
        print_log(f'resumed with other settings:\n  {lines}', 'current', logging.WARNING)
    return changes


def flatten(settings: Any) -> dict[str, str]:
    """Return the settings of a nested config, but for the dicts and lists around them, as text by
    dotted name.
    """
    return {
        name.removeprefix('.'): repr(value)
        for name, value in iter_settings(settings, '')
        if not any(iter_settings(value, ''))
    }
