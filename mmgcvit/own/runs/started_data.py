"""What the config of a run of ``train --data`` notes about the folders of its data, so that they
are found later: a list with a record for each of them.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...host.files import compute_sha256, make_portable_path
from .made import STARTED_WITH, get_started_with

DATA = 'data'  # the key of STARTED_WITH for the records


@dataclass(frozen=True)
class StartedFolder:
    """A folder of a run's data, as it was at the start. The config has its fields."""

    # The folder, relative to the work dir if both were in the current folder, so that all of it can
    # be moved
    folder: str
    # The path with which the paths of its images begin, which differs from it by symbolic links
    path: str
    # The name of its first image for training, relative to the folder of images, or the folder
    # itself if no image of it is read
    image: str
    sha256: str | None = None  # of this image, if it has one


def describe_folder(
    folder: Path, work_dir: Path, image_folder: Path, first_image: str
) -> StartedFolder:
    """Return what a config notes about the only folder of its data.

    Args:
        folder: The folder of the data.
        work_dir: The folder of the run.
        image_folder: The folder of the images for training.
        first_image: The name of one of them, relative to ``image_folder``.
    """
    return StartedFolder(
        folder=format_folder(folder, work_dir),
        path=make_portable_path(folder),
        image=first_image,
        sha256=compute_sha256(image_folder / first_image),
    )


def describe_united(
    folder: Path, work_dir: Path, root: Path, first_image: str | None
) -> StartedFolder:
    """Return what a config notes about one of several folders of its data.

    Args:
        folder: The folder of the data.
        work_dir: The folder of the run.
        root: The folder that contains all folders of data, without links.
        first_image: The name of an image in ``folder``, relative to ``root``, or None.
    """
    inside = folder.resolve().relative_to(root)
    return StartedFolder(
        folder=format_folder(folder, work_dir),
        path=str(Path(make_portable_path(root)) / inside),
        image=first_image or str(inside),
        sha256=compute_sha256(root / first_image) if first_image else None,
    )


def format_folder(folder: Path, work_dir: Path) -> str:
    """Return the folder of the data. It is relative to the work dir if both are in the current
    folder, so that all of it can be moved.
    """
    are_here = not any(Path(make_portable_path(path)).is_absolute() for path in (folder, work_dir))
    if not are_here:
        return str(folder.resolve())
    return os.path.relpath(folder.resolve(), work_dir.resolve())


def format_started(folders: Sequence[StartedFolder]) -> dict[str, Any]:
    """Return the entry of a config for the folders of its data."""
    return {DATA: [asdict(folder) for folder in folders]}


def read_started(cfg: Config) -> list[StartedFolder]:
    """Return the folders of the data that a config notes, none for another run."""
    return [StartedFolder(**record) for record in get_started_with(cfg).get(DATA, ())]


def write_started(cfg: Config, folders: Sequence[StartedFolder]) -> None:
    """Note the folders of the data in a config."""
    cfg[STARTED_WITH].update(format_started(folders))
