"""Paths that can be compared."""

import os
from pathlib import Path


def from_root(path: str | Path) -> Path:
    """A path from the root without ``..`` in it; links keep their own names."""
    return Path(os.path.normpath(Path(path).absolute()))
