"""Find the files that a run's config names after the run was renamed, moved or copied.

A config has paths as they were at the start of the run: relative to the folder in which the command
ran, or absolute. Where they lead now:

1. What the run has made (the folder ``made``) and its checkpoints are in its own folder, whatever
   its name is now. Another run may have its old name.
2. The data are in the folder that the user names (``--data``). Otherwise they are where they were
   at the start. If the run is in another folder since, they are in the nearest folder above it with
   this path in which the run's first image is.
3. A run of ``train --data`` knows the content of its first image. So the data of another project
   are not taken for its own, even if all names are the same.

Only commands that read the data ask for them.
"""

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .config import LOADERS, iter_dicts
from .datasets.checks.sources import iter_datasets, iter_unwrapped_datasets, list_local_paths
from .errors import UserError
from .files import (
    compute_sha256,
    find_folder,
    make_absolute,
    make_portable_path,
    read_text,
)
from .runs import (
    MADE_NAME,
    RUN_FILE_NAME,
    STARTED_WITH,
    RunFolder,
    get_started_with,
)

# Keys of STARTED_WITH: the folder of the data, relative to the work dir if both are in the current
# folder at the start, so that all of it can be moved; the path with which the paths of its images
# begin, which differs from it by symbolic links; and the name and SHA-256 of the first image for
# training.
DATA = 'data'
DATA_PATH = 'data_path'
FIRST_IMAGE = 'first_image'
# The variables of a config of ``train --data`` that are paths, or have some.
PATH_VARIABLE = re.compile(r'(train|val|test)_(images|annotations|list|labels)')
DATASET_VARIABLE = re.compile(r'(train|val|test)_(dataset|dataloader|evaluator)')
Locate = Callable[[str], str]  # Return where a path of a config leads now


def describe_data(
    folder: Path, work_dir: Path, image_folder: Path, first_image: str
) -> dict[str, Any]:
    """Return what a config notes about its data, so that they are found later.

    Args:
        folder: The folder of the data.
        work_dir: The folder of the run.
        image_folder: The folder of the images for training.
        first_image: The name of one of them, relative to ``image_folder``.
    """
    return {
        DATA: format_data(folder, work_dir),
        DATA_PATH: make_portable_path(folder),
        FIRST_IMAGE: [first_image, compute_sha256(image_folder / first_image)],
    }


def format_data(folder: Path, work_dir: Path) -> str:
    """Return the folder of the data. It is relative to the work dir if both are in the current
    folder, so that all of it can be moved.
    """
    are_here = not any(Path(make_portable_path(path)).is_absolute() for path in (folder, work_dir))
    if not are_here:
        return str(folder.resolve())
    return os.path.relpath(folder.resolve(), work_dir.resolve())


def locate_data(cfg: Config, file: Path, data: Path | None = None) -> Config:
    """Return a config whose paths are those of its files now.

    Args:
        cfg: The config as it is written. It is not changed.
        file: The file of the config.
        data: The folder of the data, if the user has named it.

    Raises:
        UserError: The data, or annotations that the run has made, are not found.
    """
    folder = find_run_folder(cfg, file)
    is_own_data = folder is not None and get_started_with(cfg)
    if data is not None and not is_own_data:
        raise UserError(
            f'--data is for the work dir of a run of train --data, and {file} is the config of '
            'another one. Remove it'
        )
    if folder is None:
        check_started_here(cfg, file)
        return deepcopy(cfg)
    if not is_own_data:
        return PlainRun(cfg, folder).locate(file)
    return DataRun(cfg, folder).locate(data and find_folder(data))


def find_run_folder(cfg: Config, file: Path) -> Path | None:
    """Return the folder of the run that has written a config, or None for any other config.

    Raise a UserError if annotations that the run has made are not in its folder.
    """
    work_dir = cfg.get('work_dir')
    if work_dir is None:
        return None
    made = [find_made(path, Path(work_dir)) for path in list_paths(cfg)]
    made = [path for path in made if path]
    parent = make_absolute(file).parent
    if made and get_started_with(cfg):
        for folder in (parent, parent.parent):
            if (folder / made[0]).exists():
                return folder
    if not RunFolder(parent).is_started():
        return None
    if made:
        raise UserError(
            f'{parent} lacks {made[0]}, which the run has made. Copy the whole folder of the run'
        )
    return parent


def list_paths(cfg: Config) -> list[Path]:
    """List the annotation files and image folders of a config's dataloaders."""
    paths = []
    for _, dataset in iter_datasets(cfg, LOADERS):
        paths += list_local_paths(dataset)
    return paths


def find_made(path: Path, work_dir: Path) -> Path | None:
    """Return a path from the folder ``made`` on if it is in that of a work dir, otherwise None.

    One of the paths may be absolute and the other one relative.
    """
    for position, part in enumerate(path.parts):
        if MADE_NAME.fullmatch(part) and have_same_end(path.parts[:position], work_dir.parts):
            return Path(*path.parts[position:])
    return None


def have_same_end(first: tuple[str, ...], second: tuple[str, ...]) -> bool:
    """Return whether the parts of a path are the last ones of another."""
    length = min(len(first), len(second))
    if length == 0:
        return first == second
    return first[-length:] == second[-length:]


def remove_end(path: Path, end: Path) -> Path | None:
    """Return the folder in which a path is ``end``, or None if the path does not end so."""
    position = len(path.parts) - len(end.parts)
    return Path(*path.parts[:position]) if path.parts[max(position, 0) :] == end.parts else None


@dataclass(frozen=True)
class MovedRun:
    """A run's config, and the folder in which the run is now."""

    cfg: Config
    folder: Path  # absolute

    @property
    def work_dir(self) -> Path:
        """The folder of the run at its start, relative to where the command ran, or absolute."""
        return Path(self.cfg.work_dir)

    def iter_started_in(self) -> Iterator[Path]:
        """Yield the folders in which the run may have been started, the most probable first."""
        if not self.work_dir.is_absolute():
            started_in = remove_end(self.folder, self.work_dir)
            if started_in:
                yield started_in
        yield from self.folder.parents

    def copy_config(self) -> Config:
        """Return a copy of the config with the work dir, and a checkpoint in it, as they are now."""
        cfg = deepcopy(self.cfg)
        cfg.work_dir = make_portable_path(self.folder)
        load_from = Path(cfg.get('load_from') or '')
        is_own = have_same_end(load_from.parent.parts, self.work_dir.parts)
        if is_own and RUN_FILE_NAME.fullmatch(load_from.name):
            cfg.load_from = make_portable_path(self.folder / load_from.name)
        return cfg


@dataclass(frozen=True)
class PlainRun(MovedRun):
    """A run of a config that the user has written, which may have data anywhere."""

    def locate(self, file: Path) -> Config:
        """Return the config with the paths as they are now.

        Raise a UserError if they are relative to a folder that is not found, and the run was not
        started in the current folder.
        """
        cfg = self.copy_config()
        paths = [path for path in list_paths(cfg) if not path.is_absolute()]
        if not paths:
            return cfg
        candidates = self.iter_started_in()
        have_all = (each for each in candidates if all((each / path).exists() for path in paths))
        started_in = next(have_all, None)
        if started_in:
            replace_paths(cfg, lambda path: make_portable_path(started_in / path))
            return cfg
        check_started_here(self.cfg, file)
        return cfg


@dataclass(frozen=True)
class DataRun(MovedRun):
    """A run of ``train --data``."""

    @property
    def started_with(self) -> Mapping[str, Any]:
        return get_started_with(self.cfg)

    @cached_property
    def data_path(self) -> Path:
        """The path with which the paths of the images begin."""
        # Runs of earlier versions have only the folder, relative to the work dir or absolute.
        data = os.path.normpath(self.work_dir / self.started_with.get(DATA, ''))
        return Path(self.started_with.get(DATA_PATH, data))

    def iter_places(self) -> Iterator[Path]:
        """Yield the folders in which the data may be, the most probable first."""
        data = self.folder / self.started_with.get(DATA, '')
        if self.data_path.is_absolute():
            yield self.data_path
            if self.work_dir.is_absolute():
                yield Path(os.path.normpath(self.folder / os.path.relpath(data, self.work_dir)))
            return
        if Path(self.started_with[DATA]).is_absolute():
            yield data
        for started_in in self.iter_started_in():
            yield started_in / self.data_path

    @cached_property
    def first_image(self) -> tuple[Path, str | None]:
        """The path of the first image for training at the start, and the SHA-256 of its content.

        Runs of earlier versions have not noted the SHA-256, and those of an edited config have no
        annotations of their own: then the path is that of the image folder.
        """
        dataset = next(iter_unwrapped_datasets(self.cfg.train_dataloader.dataset))
        prefix = dataset.get('data_prefix') or ''
        if isinstance(prefix, Mapping):
            prefix = prefix.get('img') or prefix.get('img_path') or ''
        image_folder = Path(dataset.get('data_root') or '', prefix)
        if FIRST_IMAGE in self.started_with:
            name, digest = self.started_with[FIRST_IMAGE]
            return image_folder / name, digest
        made = find_made(Path(dataset.ann_file), self.work_dir)
        if made is None:
            return image_folder, None
        return image_folder / read_first_name(self.folder / made), None

    def locate_first_image(self, place: Path) -> Path:
        """Return where the first image is if the data are in this folder."""
        path, _ = self.first_image
        return Path(self.locate_path(str(path), place))

    def is_data(self, place: Path) -> bool:
        """Return whether the run's first image is in this folder of data."""
        _, digest = self.first_image
        file = self.locate_first_image(place)
        if digest is None:
            return file.exists()
        return file.is_file() and compute_sha256(file) == digest

    def search_data(self) -> Path | None:
        """Return the folder of the data, or None if they are not found."""
        for position, place in enumerate(self.iter_places()):
            # Where the data were at the start, images may be missing by now. Others name them.
            is_where_it_was = position == 0 and self.is_in_place(place)
            if is_where_it_was or self.is_data(place):
                return place
        return None

    def find_data(self) -> Path:
        """Return the folder of the data. Raise a UserError if they are not found."""
        place = self.search_data()
        if place:
            return place
        raise UserError(
            f'the data of the run {self.folder} are not found: {self.data_path} does not have the '
            f'image with which it was started. Pass their folder: --data FOLDER (mmgcvit train: '
            f'with --resume --work-dir {make_portable_path(self.folder)})'
        )

    def is_in_place(self, place: Path) -> bool:
        """Return whether the data may be where they were at the start, by their folder."""
        if not place.is_dir():
            return False
        if self.data_path.is_absolute():
            return True
        if remove_end(self.folder, self.work_dir) is None:
            return False
        # Otherwise the run may have been copied into another project with the same folders.
        return not self.locate_first_image(place).exists()

    def check_data(self, place: Path) -> None:
        """Raise a UserError if the data cannot be in a folder that the user has named."""
        is_where_it_was = place.resolve() == next(self.iter_places()).resolve()
        image = self.locate_first_image(place)
        # Images may be missing by now, or be others. The checks of the data name them.
        if not is_where_it_was and not image.exists():
            raise UserError(
                f'--data {place} does not have the data of the run {self.folder}: there is no '
                f'{image}. Pass the folder that was {self.data_path} at the start'
            )

    def locate(self, data: Path | None) -> Config:
        """Return the config with the paths as they are now.

        Raise a UserError if the data are not found, or ``data`` are others.
        """
        if data is None:
            place = self.find_data()
        else:
            place = make_absolute(data)
            self.check_data(place)
        cfg = self.copy_config()
        replace_paths(cfg, lambda path: self.locate_path(path, place))
        cfg[STARTED_WITH][DATA] = str(place.resolve())
        cfg[STARTED_WITH][DATA_PATH] = make_portable_path(place)
        return cfg

    def locate_path(self, path: str, place: Path) -> str:
        """Return where a path of the config leads if the data are in the folder ``place``."""
        made = find_made(Path(path), self.work_dir)
        if made:
            return make_portable_path(self.folder / made)
        if Path(path).is_relative_to(self.data_path):
            return make_portable_path(place / Path(path).relative_to(self.data_path))
        if Path(path).is_absolute():
            return path
        started_in = remove_end(place, self.data_path) or Path.cwd()
        return make_portable_path(started_in / path)


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


def replace_paths(cfg: Config, locate: Locate) -> None:
    """Replace the paths of data in a config by what ``locate`` returns for them."""
    parts = [value for name, value in cfg.items() if DATASET_VARIABLE.fullmatch(name)]
    for settings in iter_dicts(*parts):
        replace_in_dataset(settings, locate)
    if not cfg.get('data_root'):
        for name, value in cfg.items():
            if PATH_VARIABLE.fullmatch(name) and isinstance(value, str) and value:
                cfg[name] = locate(value)


def replace_in_dataset(settings: dict[str, Any], locate: Locate) -> None:
    """Replace the paths in the settings of a dataset or metric. Those of other modules have none.

    With a ``data_root``, relative paths start there, so that only it is replaced.
    """
    root = settings.get('data_root')
    if root:
        settings['data_root'] = locate(root)

    def replace(path: Any) -> Any:
        is_below_root = root and not Path(path).is_absolute()
        if not path or is_below_root or not isinstance(path, str) or '://' in path:
            return path
        return locate(path)

    if 'ann_file' in settings:
        settings['ann_file'] = replace(settings['ann_file'])
    prefix = settings.get('data_prefix')
    if isinstance(prefix, str):
        settings['data_prefix'] = replace(prefix)
    elif prefix:
        for name, path in prefix.items():
            prefix[name] = replace(path)


def note_work_dir(cfg: Config, work_dir: Path) -> None:
    """Set the work dir of a config from :func:`locate_data`, also in what it notes about its data."""
    cfg.work_dir = make_portable_path(work_dir)
    data = Path(get_started_with(cfg).get(DATA, ''))
    if data.is_absolute():
        cfg[STARTED_WITH][DATA] = format_data(data, work_dir)


def check_started_here(cfg: Config, file: Path) -> None:
    """Raise a UserError if the data of a config that a run has written have paths relative to
    another folder than the current one.

    The config is in the run's work dir, which it names relative to the folder where the run was
    started. If it does not, the data of ``train --data`` must be below the current folder.
    """
    if all(path.is_absolute() for path in list_paths(cfg)):
        return
    parents = make_absolute(file).parents
    here = Path.cwd()
    work_dir = Path(cfg.get('work_dir') or parents[0])
    is_relative = not work_dir.is_absolute()
    started_in = [folder for folder in parents if is_relative and folder / work_dir in parents]
    data = get_started_with(cfg).get(DATA, '')
    place = f'the folder above {data}'
    if started_in:
        place = started_in[0]
        is_here = here.samefile(place)
    else:
        # A copy of the config may be in another folder than the run's work dir.
        base = work_dir if work_dir.is_dir() else parents[0]
        is_here = not data or (base / data).resolve().is_relative_to(here)
    if not is_here:
        raise UserError(
            f'{file} is the config of a run whose data have paths relative to {place}, where it '
            'was started. Run this command there'
        )
