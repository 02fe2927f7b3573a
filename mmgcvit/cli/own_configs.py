"""The configs of this project, in a checkout or as the package brings them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .options import read_config

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
