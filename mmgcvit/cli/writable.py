"""Whether something can be written into a folder."""

import tempfile
from pathlib import Path


def refusal_of(folder: Path) -> OSError | None:
    """What the system says where nothing can be written into a folder that is there; None where something can."""
    try:
        # Permissions do not tell of everything: root may write, and file systems refuse.
        with tempfile.TemporaryDirectory(dir=folder):
            return None
    except OSError as error:
        return error
