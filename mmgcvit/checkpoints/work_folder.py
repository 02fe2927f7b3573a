"""The checkpoints of a run in its folder: those of an earlier run, what a killed one has left, removing one."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from ..errors import CheckpointError, shorten
from .newest import LAST
from .wholeness import UNFINISHED

# What mmengine's checkpoint hook calls them, and the early end its own.
OF_A_RUN = re.compile(r'(best_.+_)?(epoch|iter)_\d+\.pth')
SET_ASIDE = 'overwritten'


def checkpoints_in(folder: Path) -> list[Path]:
    """The checkpoints that a run has left in a folder, and what names the last of them; of any run, whole or not."""
    return sorted(path for path in folder.glob('*') if path.name == LAST or OF_A_RUN.fullmatch(path.name))


def refuse_used(folder: Path, found: Sequence[Path]) -> None:
    """Say of a folder with an earlier run's checkpoints that a new run would overwrite them.

    Raises:
        CheckpointError: There are any.
    """
    if not found:
        return
    names = shorten([path.name for path in found])
    raise CheckpointError(
        f"{folder} holds an earlier run's checkpoints ({names}), which a new run would overwrite. Go on from them with "
        "--resume, or train in another folder (--work-dir), or give them up with --overwrite (of hosts' scripts: "
        '--cfg-options default_hooks.checkpoint.overwrite=True)'
    )


def set_aside(found: Sequence[Path], folder: Path) -> None:
    """Move an earlier run's checkpoints into a folder below theirs, where nothing looks for them."""
    for path in found:
        place = folder / SET_ASIDE / path.name
        place.parent.mkdir(exist_ok=True)
        remove(place, place.parent)
        path.rename(place)


def remove_set_aside(folder: Path) -> None:
    """Remove what :func:`set_aside` has moved."""
    if (folder / SET_ASIDE).is_dir():
        remove(folder / SET_ASIDE, folder)


def remove_unfinished(folder: Path) -> None:
    """Remove what a run that was killed had begun to write."""
    for path in folder.glob(f'*{UNFINISHED}'):
        remove(path, folder)


def remove(path: Path, folder: Path) -> None:
    """Remove a checkpoint, a file or a folder of shares, if it lies in a folder itself; what does not stays."""
    if path.parent.resolve() != folder.resolve():
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
