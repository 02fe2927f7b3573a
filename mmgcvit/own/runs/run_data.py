"""Find the files that a run's config names after the run was renamed, moved or copied.

A config has paths as they were at the start of the run: relative to the folder in which the command
ran, or absolute. Where they lead now:

1. What the run has made (the folder ``made``) and its checkpoints are in its own folder, whatever
   its name is now. Another run may have its old name.
2. The data are in the folders that the user names (``--data``). Otherwise they are where they were
   at the start. If the run is in another folder since, they are in the nearest folder above it with
   this path in which the run's first image is. Each folder of data (:class:`Place`) is looked for
   by itself.
3. A run of ``train --data`` knows the content of the first image of each folder. So the data of
   another project are not taken for its own, even if all names are the same.

Only commands that read the data ask for them. The names of images in the annotations are relative
to a folder that contains all folders of data. If these have moved apart, :mod:`.moved_annotations`
writes the annotations anew.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...errors import UserError
from ...host.datasets import iter_unwrapped_datasets
from ...host.files import compute_sha256, make_absolute, make_portable_path
from ...runs.folder import RUN_FILE_NAME, RunFolder
from ..data.folders import find_folder
from .config_paths import list_paths, replace_paths
from .made import MADE_NAME, get_started_with
from .moved_annotations import RenamedImages, rename_images
from .started_data import StartedFolder, format_folder, read_started, write_started


def locate_data(cfg: Config, file: Path, data: Sequence[Path] = ()) -> Config:
    """Return a config whose paths are those of its files now.

    Args:
        cfg: The config as it is written. It is not changed.
        file: The file of the config.
        data: The folders of the data, in the order of the run's start, if the user has named them.

    Raises:
        UserError: The data, or annotations that the run has made, are not found.
    """
    folder = find_run_folder(cfg, file)
    is_own_data = folder is not None and bool(get_started_with(cfg))
    if data and not is_own_data:
        raise UserError(
            f'--data is for the work dir of a run of train --data, and {file} is the config of '
            'another one. Remove it'
        )
    if folder is None:
        check_started_here(cfg, file)
        return deepcopy(cfg)
    if not is_own_data:
        return PlainRun(cfg, folder).locate(file)
    return DataRun(cfg, folder).locate([find_folder(each) for each in data])


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
class Move:
    """Where a run was at its start, and where it is now."""

    work_dir: Path  # at the start, relative to where the command ran, or absolute
    folder: Path  # now, absolute

    def iter_started_in(self) -> Iterator[Path]:
        """Yield the folders in which the run may have been started, the most probable first."""
        if not self.work_dir.is_absolute():
            started_in = remove_end(self.folder, self.work_dir)
            if started_in:
                yield started_in
        yield from self.folder.parents

    def locate(self, path: str, old: Path, new: Path) -> str:
        """Return where a path of the config leads if data that were in ``old`` are in ``new``."""
        made = find_made(Path(path), self.work_dir)
        if made:
            return make_portable_path(self.folder / made)
        if Path(path).is_relative_to(old):
            return make_portable_path(new / Path(path).relative_to(old))
        if Path(path).is_absolute():
            return path
        started_in = remove_end(new, old) or Path.cwd()
        return make_portable_path(started_in / path)


@dataclass(frozen=True)
class MovedRun:
    """A run's config, and the folder in which the run is now."""

    cfg: Config
    folder: Path  # absolute

    @property
    def move(self) -> Move:
        """Where the run was at its start, and where it is now."""
        return Move(Path(self.cfg.work_dir), self.folder)

    def copy_config(self) -> Config:
        """Return a copy of the config with the work dir, and a checkpoint in it, as they are now."""
        cfg = deepcopy(self.cfg)
        cfg.work_dir = make_portable_path(self.folder)
        load_from = Path(cfg.get('load_from') or '')
        is_own = have_same_end(load_from.parent.parts, self.move.work_dir.parts)
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
        candidates = self.move.iter_started_in()
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

    @cached_property
    def started(self) -> list[StartedFolder]:
        """The folders of the data at the start, in the order of ``--data``."""
        return read_started(self.cfg)

    @cached_property
    def places(self) -> 'list[Place]':
        """The folders of the data, in the order of ``--data``."""
        return [
            Place(
                move=self.move,
                started=started,
                first_image=self.image_folder / started.image,
                number=number if len(self.started) > 1 else None,
            )
            for number, started in enumerate(self.started, start=1)
        ]

    @cached_property
    def training_data(self) -> Mapping[str, Any]:
        """The settings of the dataset for training."""
        return next(iter_unwrapped_datasets(self.cfg.train_dataloader.dataset))

    @property
    def image_folder(self) -> Path:
        """The folder of the images for training, at the start."""
        prefix = self.training_data.get('data_prefix') or ''
        if isinstance(prefix, Mapping):
            prefix = prefix.get('img') or prefix.get('img_path') or ''
        return Path(self.training_data.get('data_root') or '', prefix)

    def search_data(self) -> list[Path | None]:
        """Return where each folder of the data is, or None for those that are not found."""
        return [place.search() for place in self.places]

    def find_data(self) -> list[Path]:
        """Return the folders of the data. Raise a UserError if one is not found."""
        found = self.search_data()
        for place, folder in zip(self.places, found, strict=True):
            if folder is None:
                raise UserError(
                    f'the data of the run {self.folder} are not found: '
                    f'{place.describe(len(found))} does not have the image with which it was '
                    f'started. Pass {self.describe_folders(found)} (mmgcvit train: with --resume '
                    f'--work-dir {make_portable_path(self.folder)})'
                )
        return [folder for folder in found if folder]

    def describe_folders(self, found: Sequence[Path | None]) -> str:
        """Return the options that name the folders of the data, of which some are found."""
        if len(found) == 1:
            return 'their folder: --data FOLDER'
        options = [
            f'--data {make_portable_path(folder)}' if folder else f'--data FOLDER_{number}'
            for number, folder in enumerate(found, start=1)
        ]
        return f'all folders, in the order of the start: {" ".join(options)}'

    def check_data(self, folders: Sequence[Path]) -> None:
        """Raise a UserError if the data cannot be in folders that the user has named."""
        if len(folders) != len(self.places):
            names = ' '.join(f'--data {place.path}' for place in self.places)
            raise UserError(
                f'the run {self.folder} was started with {names}. Pass '
                f'{len(self.places)} --data, in this order, and not {len(folders)}'
            )
        for place, folder in zip(self.places, folders, strict=True):
            place.check(folder)

    def are_data(self, folders: Sequence[Path]) -> bool:
        """Return whether these are the folders of the data: where they are, or if they are not
        found, ones with the first images.
        """
        if len(folders) != len(self.places):
            return False
        return all(
            place.is_same(make_absolute(folder))
            for place, folder in zip(self.places, folders, strict=True)
        )

    def locate(self, data: Sequence[Path]) -> Config:
        """Return the config with the paths as they are now.

        Raise a UserError if the data are not found, or ``data`` are others.
        """
        moved = MovedData(self.started, self.choose_folders(data))
        cfg = self.copy_config()
        replace_paths(cfg, lambda path: self.move.locate(path, moved.old_root, moved.root))
        started = moved.list_started()
        if moved.are_apart:
            images = self.rename_images(cfg, moved.renamed)
            started = [replace(each, image=images.rename(each.image)) for each in started]
        write_started(cfg, started)
        return cfg

    def choose_folders(self, data: Sequence[Path]) -> list[Path]:
        """Return where the folders of the data are: as the user names them, or as they are found.

        Raise a UserError if they are not found, or ``data`` are others.
        """
        if data:
            folders = [make_absolute(folder) for folder in data]
            self.check_data(folders)
        else:
            folders = self.find_data()
        if len(folders) == 1:
            return folders
        return [folder.resolve() for folder in folders]  # as in the names of images

    def rename_images(self, cfg: Config, renamed: Mapping[Path, Path]) -> RenamedImages:
        """Write annotations with other names of images, and set their paths in a config.

        ``renamed`` are the folders with which names begin, as they were and as they are.
        """
        annotations = Path(next(iter_unwrapped_datasets(cfg.train_dataloader.dataset)).ann_file)
        made = make_absolute(annotations).parent
        target = rename_images(RunFolder(self.folder), made, renamed)

        def locate(path: str) -> str:
            absolute = make_absolute(path)
            if not absolute.is_relative_to(made):
                return path
            return make_portable_path(target.folder / absolute.relative_to(made))

        replace_paths(cfg, locate)
        return target


@dataclass(frozen=True)
class MovedData:
    """The folders of a run's data, as they were at the start and as they are now."""

    started: Sequence[StartedFolder]
    folders: Sequence[Path]  # absolute

    @property
    def old_root(self) -> Path:
        """The folder that contained all of them. The names of images are relative to it."""
        return Path(os.path.commonpath([each.path for each in self.started]))

    @property
    def root(self) -> Path:
        """The folder that contains all of them now."""
        return Path(os.path.commonpath(self.folders))

    @property
    def renamed(self) -> dict[Path, Path]:
        """The paths inside the folder that contains all of them, as they were and as they are. The
        names of images begin with them.
        """
        return {
            Path(old.path).relative_to(self.old_root): folder.relative_to(self.root)
            for old, folder in zip(self.started, self.folders, strict=True)
        }

    @property
    def are_apart(self) -> bool:
        """Whether they have moved or were renamed without each other."""
        return any(old != new for old, new in self.renamed.items())

    def list_started(self) -> list[StartedFolder]:
        """Return what a config notes about the folders as they are now."""
        root = Path(make_portable_path(self.root))
        return [
            replace(old, folder=str(folder.resolve()), path=str(root / inside))
            for old, folder, inside in zip(
                self.started, self.folders, self.renamed.values(), strict=True
            )
        ]


@dataclass(frozen=True)
class Place:
    """A folder of a run's data as it was at the start, and where it is now."""

    move: Move  # of the run
    started: StartedFolder
    first_image: Path  # the path of its first image at the start
    number: int | None  # of several folders, from 1, in the order of ``--data``

    @property
    def path(self) -> Path:
        """The path at the start with which the paths of its images begin."""
        return Path(self.started.path)

    def describe(self, num_places: int) -> str:
        """Return which folder it is, among all of the run, for messages."""
        if self.number is None:
            return str(self.path)
        return f'folder {self.number} of {num_places}, {self.path} at the start,'

    def iter_candidates(self) -> Iterator[Path]:
        """Yield the folders in which the data may be, the most probable first.

        Examples of a run that was in the folder ``runs/a`` and is in ``/new/runs/a``:

        ==============  ==========  ========================================================
        data            work dir    candidates
        ==============  ==========  ========================================================
        /old/data       runs/a      /old/data
        /old/data       /old/runs/a /old/data, /new/data
        data            runs/a      /new/data, then below the other folders above the run
        ==============  ==========  ========================================================
        """
        if self.path.is_absolute():
            return self.iter_absolute()
        return self.iter_relative()

    def iter_absolute(self) -> Iterator[Path]:
        """Yield the folder of the start and, of a run with an absolute work dir, the one that is now
        where the data were beside the run.
        """
        yield self.path
        if self.move.work_dir.is_absolute():
            inside = os.path.relpath(self.move.folder / self.started.folder, self.move.work_dir)
            yield Path(os.path.normpath(self.move.folder / inside))

    def iter_relative(self) -> Iterator[Path]:
        """Yield the folders with the relative path of the data, in those in which the run may have
        been started.
        """
        if Path(self.started.folder).is_absolute():
            yield Path(self.started.folder)
        for started_in in self.move.iter_started_in():
            yield started_in / self.path

    def search(self) -> Path | None:
        """Return the folder of the data, or None if it is not found."""
        for position, folder in enumerate(self.iter_candidates()):
            # Where the data were at the start, images may be missing by now. Others name them.
            is_where_it_was = position == 0 and self.is_in_place(folder)
            if is_where_it_was or self.is_in(folder):
                return folder
        return None

    def is_in(self, folder: Path) -> bool:
        """Return whether the first image is in a folder of data."""
        file = self.locate_first_image(folder)
        if self.started.sha256 is None:
            return file.exists()
        return file.is_file() and compute_sha256(file) == self.started.sha256

    def is_in_place(self, folder: Path) -> bool:
        """Return whether the data may be where they were at the start, by their folder."""
        if not folder.is_dir():
            return False
        if self.path.is_absolute():
            return True
        if remove_end(self.move.folder, self.move.work_dir) is None:
            return False
        # Otherwise the run may have been copied into another project with the same folders.
        return not self.locate_first_image(folder).exists()

    def is_same(self, folder: Path) -> bool:
        """Return whether a folder is the one of the data or, if that is not found, may be it."""
        found = self.search()
        return found.resolve() == folder.resolve() if found else self.is_in(folder)

    def locate_first_image(self, folder: Path) -> Path:
        """Return where the first image is if the data are in this folder."""
        return Path(self.move.locate(str(self.first_image), self.path, folder))

    def check(self, folder: Path) -> None:
        """Raise a UserError if the data cannot be in a folder that the user has named."""
        is_where_it_was = folder.resolve() == next(self.iter_candidates()).resolve()
        image = self.locate_first_image(folder)
        # Images may be missing by now, or be others. The checks of the data name them.
        if not is_where_it_was and not image.exists():
            number = f' (number {self.number})' if self.number else ''
            raise UserError(
                f'--data {folder}{number} does not have the data of the run {self.move.folder}: '
                f'there is no {image}. Pass the folder that was {self.path} at the start'
            )


def note_work_dir(cfg: Config, work_dir: Path) -> None:
    """Set the work dir of a config from :func:`locate_data`, also in what it notes about its data."""
    started = read_started(cfg)
    cfg.work_dir = make_portable_path(work_dir)
    if not started:
        return
    noted = []
    for each in started:
        folder = Path(each.folder)
        is_absolute = folder.is_absolute()
        noted.append(replace(each, folder=format_folder(folder, work_dir)) if is_absolute else each)
    write_started(cfg, noted)


def check_started_here(cfg: Config, file: Path) -> None:
    """Raise a UserError if the data of a config that a run has written have paths relative to
    another folder than the current one.

    The config is in the run's work dir, which it names relative to the folder where the run was
    started. If it does not, all data of ``train --data`` must be below the current folder.
    """
    if all(path.is_absolute() for path in list_paths(cfg)):
        return
    here = Path.cwd()
    started_in = find_started_in(cfg, file)
    if started_in:
        place = str(started_in)
        is_here = here.samefile(started_in)
    else:
        place = f'the folder above {", ".join(each.folder for each in read_started(cfg))}'
        is_here = are_data_below(cfg, file, here)
    if not is_here:
        raise UserError(
            f'{file} is the config of a run whose data have paths relative to {place}, where it '
            'was started. Run this command there'
        )


def find_started_in(cfg: Config, file: Path) -> Path | None:
    """Return the folder in which a run was started whose config is in its work dir, or None if the
    config does not name the work dir relative to a folder above.
    """
    parents = make_absolute(file).parents
    work_dir = Path(cfg.get('work_dir') or parents[0])
    if work_dir.is_absolute():
        return None
    return next((folder for folder in parents if folder / work_dir in parents), None)


def are_data_below(cfg: Config, file: Path, folder: Path) -> bool:
    """Return whether the folders of data that a config notes are below a folder."""
    parent = make_absolute(file).parent
    # A copy of the config may be in another folder than the run's work dir.
    work_dir = Path(cfg.get('work_dir') or parent)
    base = work_dir if work_dir.is_dir() else parent
    data = [(base / each.folder).resolve() for each in read_started(cfg)]
    return all(path.is_relative_to(folder) for path in data)
