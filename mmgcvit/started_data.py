"""What the config of a run of ``train --data`` notes about the folders of its data, so that they are
found later.

With one folder of data, the config has values; with several, lists of them.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .files import compute_sha256, make_portable_path, read_text
from .runs import STARTED_WITH, get_started_with

# Keys of STARTED_WITH, each for one attribute of StartedFolder; the last one for two.
DATA = 'data'
DATA_PATH = 'data_path'
FIRST_IMAGE = 'first_image'


@dataclass(frozen=True)
class StartedFolder:
    """A folder of a run's data, as it was at the start."""

    # The folder, relative to the work dir if both were in the current folder, so that all of it can
    # be moved
    data: str
    # The path with which the paths of its images begin, which differs from it by symbolic links
    path: str
    # The name of its first image for training, relative to the folder of images, or the folder
    # itself if no image of it is read
    image: str
    digest: str | None = None  # the SHA-256 of this image, if it has one


def describe_data(
    folder: Path, work_dir: Path, image_folder: Path, first_image: str
) -> dict[str, Any]:
    """Return what a config notes about its data.

    Args:
        folder: The folder of the data.
        work_dir: The folder of the run.
        image_folder: The folder of the images for training.
        first_image: The name of one of them, relative to ``image_folder``.
    """
    started = StartedFolder(
        data=format_data(folder, work_dir),
        path=make_portable_path(folder),
        image=first_image,
        digest=compute_sha256(image_folder / first_image),
    )
    return format_started([started])


def describe_several_data(
    folders: Sequence[Path], work_dir: Path, image_folder: Path, first_images: Sequence[str | None]
) -> dict[str, Any]:
    """Return what a config notes about several folders of data.

    Args:
        folders: The folders of the data.
        work_dir: The folder of the run.
        image_folder: The folder that contains them, without links.
        first_images: The name of an image of each, relative to ``image_folder``, or None.
    """
    root = Path(make_portable_path(image_folder))
    started = []
    for folder, name in zip(folders, first_images, strict=True):
        inside = folder.resolve().relative_to(image_folder)
        started.append(
            StartedFolder(
                data=format_data(folder, work_dir),
                path=str(root / inside),
                image=name or str(inside),
                digest=compute_sha256(image_folder / name) if name else None,
            )
        )
    return format_started(started)


def format_data(folder: Path, work_dir: Path) -> str:
    """Return the folder of the data. It is relative to the work dir if both are in the current
    folder, so that all of it can be moved.
    """
    are_here = not any(Path(make_portable_path(path)).is_absolute() for path in (folder, work_dir))
    if not are_here:
        return str(folder.resolve())
    return os.path.relpath(folder.resolve(), work_dir.resolve())


def format_started(folders: Sequence[StartedFolder]) -> dict[str, Any]:
    """Return the entries of a config for the folders of its data."""
    return {
        DATA: join_values([folder.data for folder in folders]),
        DATA_PATH: join_values([folder.path for folder in folders]),
        FIRST_IMAGE: join_values([[folder.image, folder.digest] for folder in folders]),
    }


def read_started(cfg: Config, made: Path | None) -> list[StartedFolder]:
    """Return the folders of the data that a config notes.

    Runs of earlier versions have noted only the folder. Then the first image is that of ``made``,
    the run's annotations for training, or the folder of images if these are not the run's.
    """
    started_with = get_started_with(cfg)
    data = split_values(started_with.get(DATA, ''))
    paths = started_with.get(DATA_PATH, os.path.normpath(Path(cfg.work_dir, data[0])))
    images = started_with.get(FIRST_IMAGE)
    if images is None:
        images = [[read_first_name(made) if made else '', None]]
    elif isinstance(images[0], str):
        images = [images]
    return [
        StartedFolder(folder, path, name, digest)
        for folder, path, (name, digest) in zip(data, split_values(paths), images, strict=True)
    ]


def read_first_name(annotations: Path) -> str:
    """Return the name of the first image in an annotation file that ``train --data`` has made."""
    text = read_text(annotations)
    if annotations.suffix == '.json':
        return json.loads(text)['images'][0]['file_name']
    line = text.partition('\n')[0]
    # A tab comes before the path of a map, and a blank before the index of a class.
    if '\t' in line:
        return line.partition('\t')[0]
    return line.rpartition(' ')[0]


def read_data(cfg: Config) -> list[str]:
    """Return the folders of the data that a config notes, none for another run."""
    data = get_started_with(cfg).get(DATA)
    return split_values(data) if data else []


def write_data(cfg: Config, data: Sequence[str]) -> None:
    """Note the folders of the data in a config."""
    cfg[STARTED_WITH][DATA] = join_values(data)


def split_values(value: str | Sequence[str]) -> list[str]:
    """Return the values of all folders of data."""
    return [value] if isinstance(value, str) else [*value]


def join_values(values: Sequence[Any]) -> Any:
    """Return the values of all folders of data as a config has them."""
    return values[0] if len(values) == 1 else [*values]
