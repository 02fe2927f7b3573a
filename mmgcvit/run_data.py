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

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from .moved_annotations import rename_images
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
# training. With several folders of data, each is a list, and an image without SHA-256 is the folder
# itself, which has no image that is read.
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


def describe_several_data(
    folders: Sequence[Path], work_dir: Path, image_folder: Path, first_images: Sequence[str | None]
) -> dict[str, Any]:
    """Return what a config notes about several folders of data, so that they are found later.

    Args:
        folders: The folders of the data.
        work_dir: The folder of the run.
        image_folder: The folder that contains them, without links.
        first_images: The name of an image of each, relative to ``image_folder``, or None.
    """
    root = Path(make_portable_path(image_folder))
    inside = [folder.resolve().relative_to(image_folder) for folder in folders]
    return {
        DATA: [format_data(folder, work_dir) for folder in folders],
        DATA_PATH: [str(root / path) for path in inside],
        FIRST_IMAGE: [
            [name, compute_sha256(image_folder / name)] if name else [str(path), None]
            for name, path in zip(first_images, inside, strict=True)
        ],
    }


def format_data(folder: Path, work_dir: Path) -> str:
    """Return the folder of the data. It is relative to the work dir if both are in the current
    folder, so that all of it can be moved.
    """
    are_here = not any(Path(make_portable_path(path)).is_absolute() for path in (folder, work_dir))
    if not are_here:
        return str(folder.resolve())
    return os.path.relpath(folder.resolve(), work_dir.resolve())


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
    is_own_data = folder is not None and get_started_with(cfg)
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
    def places(self) -> 'list[Place]':
        """The folders of the data, in the order of ``--data``."""
        data = list_values(self.started_with.get(DATA, ''))
        # Runs of earlier versions have only the folder, relative to the work dir or absolute.
        paths = list_values(
            self.started_with.get(DATA_PATH, os.path.normpath(self.work_dir / data[0]))
        )
        images = self.started_with.get(FIRST_IMAGE)
        if images is None:
            images = [[self.read_first_name(), None]]
        elif not isinstance(images[0], list | tuple):
            images = [images]
        return [
            Place(
                run=self,
                number=number,
                data=Path(own_data),
                path=Path(path),
                first_image=self.image_folder / name,
                digest=digest,
            )
            for number, (own_data, path, (name, digest)) in enumerate(
                zip(data, paths, images, strict=True), start=1
            )
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

    def read_first_name(self) -> str:
        """Return the name of the first image of a run of an earlier version, which has not noted
        it.

        If the config was edited, so that it has no annotations of its own, the name is '', which
        stands for the folder of images.
        """
        made = find_made(Path(self.training_data['ann_file']), self.work_dir)
        return read_first_name(self.folder / made) if made else ''

    def search_data(self) -> list[Path | None]:
        """Return where each folder of the data is, or None for those that are not found."""
        return [place.search() for place in self.places]

    def find_data(self) -> list[Path]:
        """Return the folders of the data. Raise a UserError if one is not found."""
        found = self.search_data()
        for place, folder in zip(self.places, found, strict=True):
            if folder is None:
                raise UserError(
                    f'the data of the run {self.folder} are not found: {place} does not have the '
                    f'image with which it was started. Pass {self.describe_folders(found)} '
                    f'(mmgcvit train: with --resume --work-dir {make_portable_path(self.folder)})'
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
        if data:
            folders = [make_absolute(folder) for folder in data]
            self.check_data(folders)
        else:
            folders = self.find_data()
        cfg = self.copy_config()
        started_with = cfg[STARTED_WITH]
        if len(folders) == 1:
            self.replace_paths(cfg, self.places[0].path, folders[0])
            started_with[DATA] = str(folders[0].resolve())
            started_with[DATA_PATH] = make_portable_path(folders[0])
            return cfg
        folders = [folder.resolve() for folder in folders]
        old_paths = [place.path for place in self.places]
        old_root = Path(os.path.commonpath(old_paths))
        root = Path(os.path.commonpath(folders))
        self.replace_paths(cfg, old_root, root)
        # The names of images begin with the paths of the folders in the one that contains them.
        renamed = {
            path.relative_to(old_root): folder.relative_to(root)
            for path, folder in zip(old_paths, folders, strict=True)
        }
        if any(old != new for old, new in renamed.items()):
            self.rename_images(cfg, renamed)
        portable_root = Path(make_portable_path(root))
        started_with[DATA] = [*map(str, folders)]
        started_with[DATA_PATH] = [str(portable_root / path) for path in renamed.values()]
        return cfg

    def rename_images(self, cfg: Config, renamed: Mapping[Path, Path]) -> None:
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
        images = cfg[STARTED_WITH][FIRST_IMAGE]
        cfg[STARTED_WITH][FIRST_IMAGE] = [[target.rename(name), digest] for name, digest in images]

    def replace_paths(self, cfg: Config, old: Path, new: Path) -> None:
        """Replace the paths in a config by those of the files now, if the data were in a folder
        ``old`` and are in ``new``.
        """
        replace_paths(cfg, lambda path: self.locate_path(path, old, new))

    def locate_path(self, path: str, old: Path, new: Path) -> str:
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


def list_values(value: str | Sequence[str]) -> list[str]:
    """Return the values for all folders of data. With one folder, the config has no list."""
    return [value] if isinstance(value, str) else [*value]


@dataclass(frozen=True)
class Place:
    """A folder of a run's data as it was at the start, and where it is now."""

    run: DataRun
    number: int  # from 1, in the order of ``--data``
    data: Path  # the folder, relative to the work dir or absolute
    path: Path  # with which the paths of its images begin
    first_image: Path  # the path of its first image at the start, or a folder if it isn't known
    digest: str | None  # the SHA-256 of this image, if it is known

    def __str__(self) -> str:
        if len(self.run.places) == 1:
            return str(self.path)
        return f'folder {self.number} of {len(self.run.places)}, {self.path} at the start,'

    def iter_candidates(self) -> Iterator[Path]:
        """Yield the folders in which the data may be, the most probable first."""
        run = self.run
        if self.path.is_absolute():
            yield self.path
            if run.work_dir.is_absolute():
                inside = os.path.relpath(run.folder / self.data, run.work_dir)
                yield Path(os.path.normpath(run.folder / inside))
            return
        if self.data.is_absolute():
            yield self.data
        for started_in in run.iter_started_in():
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
        if self.digest is None:
            return file.exists()
        return file.is_file() and compute_sha256(file) == self.digest

    def is_in_place(self, folder: Path) -> bool:
        """Return whether the data may be where they were at the start, by their folder."""
        if not folder.is_dir():
            return False
        if self.path.is_absolute():
            return True
        if remove_end(self.run.folder, self.run.work_dir) is None:
            return False
        # Otherwise the run may have been copied into another project with the same folders.
        return not self.locate_first_image(folder).exists()

    def is_same(self, folder: Path) -> bool:
        """Return whether a folder is the one of the data or, if that is not found, may be it."""
        found = self.search()
        return found.resolve() == folder.resolve() if found else self.is_in(folder)

    def locate_first_image(self, folder: Path) -> Path:
        """Return where the first image is if the data are in this folder."""
        return Path(self.run.locate_path(str(self.first_image), self.path, folder))

    def check(self, folder: Path) -> None:
        """Raise a UserError if the data cannot be in a folder that the user has named."""
        is_where_it_was = folder.resolve() == next(self.iter_candidates()).resolve()
        image = self.locate_first_image(folder)
        # Images may be missing by now, or be others. The checks of the data name them.
        if not is_where_it_was and not image.exists():
            number = f' (number {self.number})' if len(self.run.places) > 1 else ''
            raise UserError(
                f'--data {folder}{number} does not have the data of the run {self.run.folder}: '
                f'there is no {image}. Pass the folder that was {self.path} at the start'
            )


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
        # A dataset of one's own may have None or a list, which are not looked at.
        if not isinstance(path, str) or not path or '://' in path:
            return path
        is_below_root = root and not Path(path).is_absolute()
        return path if is_below_root else locate(path)

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
    data = get_started_with(cfg).get(DATA, '')
    formatted = [
        format_data(Path(each), work_dir) if Path(each).is_absolute() else each
        for each in list_values(data)
    ]
    if data:
        cfg[STARTED_WITH][DATA] = formatted[0] if isinstance(data, str) else formatted


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
    data = list_values(get_started_with(cfg).get(DATA, ''))[0]
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
