"""Read class folders: a folder of images for each class, which bears its name.

Format: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html,
but images lie directly in the folders of classes. Nearly all folders of images look like it, so
this format is tried last.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from ...errors import UserError, shorten
from ..decoding import read_sizes
from ..layouts import Folder, Layout, Match, get_split
from ..records import DatasetInfo, LabelSplit, Size

IMAGE_FOLDER = (
    'https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html'
)
TOOLS = 'torchvision, Ultralytics, Roboflow and CVAT (classes)'
WITH_SPLITS = Layout(
    f'{TOOLS}, with splits',
    IMAGE_FOLDER,
    'train/cat/a.jpg\ntrain/dog/b.jpg\nval/cat/c.jpg\nval/dog/d.jpg',
)
WITHOUT_SPLITS = Layout(TOOLS, IMAGE_FOLDER, 'cat/a.jpg\ndog/b.jpg')
LAYOUTS = (WITH_SPLITS, WITHOUT_SPLITS)
# Such files beside images are annotations that are not read.
ANNOTATION_SUFFIXES = ('.json', '.csv', '.xml', '.txt')
MIN_PAIRS = 0.9  # the share of images with a partner from which two folders are not classes
CLASSIFY = 'classify'

Sizes = tuple[Size, Size]  # of an image as stored, and upright


def match_layouts(folder: Folder) -> list[Match]:
    """Return the layout of class folders that a folder fits or nearly fits."""
    tops = sorted({file.parts[0] for file in folder.images if len(file.parts) > 1})
    splits = [name for name in tops if get_split(name)]
    layout, depth = WITHOUT_SPLITS, 1
    if splits:
        layout, depth = WITH_SPLITS, 2
    # Images by split and class, those outside of class folders, and folders that are too deep.
    found, stray, deep = {}, [], {}
    for file in folder.images:
        folders = file.parts[:-1]
        if len(folders) < depth:
            stray.append(file)
        elif len(folders) > depth:
            deep[file.parent] = None
        else:
            split = get_split(folders[0]) if splits else 'train'
            found.setdefault(split, {}).setdefault(folders[-1], []).append(file)
    classes = sorted(found.get('train', ()))
    annotations = []
    for file in folder.list_files(*ANNOTATION_SUFFIXES):
        if len(file.parts) > depth and file.parts[depth - 1] in classes:
            annotations.append(file)
    misfit = ''
    if splits and len(splits) < len(tops):
        misfit = f'the folders {shorten(tops, 8)} are splits and others. Expected only one kind'
    elif len(set(map(get_split, splits))) < len(splits):
        misfit = f'several of the folders {shorten(splits, 8)} stand for one split. Rename one'
    elif not classes and not deep:
        return []
    elif deep:
        misfit = f'the images of {shorten([*deep])} are below the folders of classes. Move them up'
    elif len(classes) < 2:
        misfit = f'has no annotations, and for training only the class folder {classes[0]}'
    elif annotations:
        misfit = f'has files that are not annotations of a known format: {shorten(annotations)}'
    return [Match(layout, (found, stray), misfit=misfit)]


def read_dataset(folder: Folder, match: Match, task: str | None) -> DatasetInfo:
    """Read class folders. The classes are those of training, sorted.

    Raises:
        UserError: Another split has a class that training lacks, or the folders of two classes are
            photos and their maps.
    """
    found, stray = match.found
    names = tuple(sorted(found['train']))
    splits, notes = {}, []
    for split, images in found.items():
        others = sorted(images.keys() - set(names))
        if others:
            raise UserError(
                f'{folder.path}: {split} has the class folders {shorten(others)}, but train has '
                f'only {shorten(names)}. Add the class folders to train, or remove them from '
                f'{split}'
            )
        files, labels = [], []
        for label, name in enumerate(names):
            files += map(str, images.get(name, ()))
            labels += [label] * len(images.get(name, ()))
        indices = [frozenset([label]) for label in labels]
        texts = [str(label) for label in labels]
        splits[split] = LabelSplit(folder.path.resolve(), files, texts, indices, names)
    if task != CLASSIFY:
        check_no_pairs(folder, found['train'])
    if stray:
        notes.append(f'images outside of class folders are left out: {shorten(stray)}')
    unread = folder.list_files('.json', '.csv')
    if unread:
        notes.append(f'not read: {shorten(unread)}. The classes are the folders {shorten(names)}')
    empty = find_empty(folder, match.layout, names)
    if empty:
        notes.append(f'folders without images of the dataset are not classes: {shorten(empty)}')
    return DatasetInfo(folder.path, 'class folders', ('classes',), names, splits, tuple(notes))


def check_no_pairs(folder: Folder, images: Mapping[str, Sequence[Path]]) -> None:
    """Raise a UserError if the images of two folders are pairs: photos and their maps.

    Pairs have the same size, and the same name or one that begins with the other's. With ``--task
    classify`` this is not asked.
    """
    indices = {name: index_names(files) for name, files in images.items()}
    find_size = cache(partial(read_size, folder.path))
    for first, second in combinations(sorted(images), 2):
        name, other = sorted([first, second], key=lambda name: len(images[name]))
        files = images[name]
        num_pairs = count_pairs(files, indices[other], find_size)
        if num_pairs:
            raise UserError(
                f'{folder.path}: {num_pairs} of {len(files)} images in {files[0].parent} have a '
                f'partner of their name and size in {images[other][0].parent}. Are {first} and '
                f'{second} images and their maps? Then call the folders images and masks. Are '
                'they classes? Then add --task classify'
            )


class NameIndex(NamedTuple):
    """The files of a folder by their names, and by their names without ending or beginning."""

    by_name: dict[str, Path]
    without_ending: dict[str, Path]
    without_beginning: dict[str, Path]

    def find_partner(self, file: Path) -> Path | None:
        """Return the file with the same name, of which one may have an ending: a_mask.png.

        Files of different types may also differ in how their names begin: img_1.jpg and gt_1.png.
        """
        name = file.stem
        partner = self.by_name.get(name) or self.by_name.get(name.rpartition('_')[0])
        partner = partner or self.without_ending.get(name)
        similar = self.without_beginning.get(name.partition('_')[2])
        if partner is None and similar and similar.suffix != file.suffix and '_' in name:
            partner = similar
        return partner


def index_names(files: Sequence[Path]) -> NameIndex:
    """Return an index in which :meth:`NameIndex.find_partner` looks files up."""
    return NameIndex(
        {file.stem: file for file in files},
        {file.stem.rpartition('_')[0]: file for file in files},
        {file.stem.partition('_')[2]: file for file in files},
    )


def count_pairs(
    files: Sequence[Path], others: NameIndex, find_size: Callable[[Path], Sizes | None]
) -> int:
    """Return how many files have a partner of the same size, or 0 if fewer than MIN_PAIRS have.

    It stops as soon as too few can have one, since every two classes are compared.
    """
    num_pairs = len(files)
    for file in files:
        partner = others.find_partner(file)
        size = find_size(file) if partner else None
        if size is None or size != find_size(partner):
            num_pairs -= 1
        if num_pairs < MIN_PAIRS * len(files):
            return 0
    return num_pairs


def read_size(root: Path, file: Path) -> Sizes | None:
    """Return the stored and the upright size of an image, or None if it cannot be read."""
    try:
        return read_sizes(root / file)
    except UserError:
        return None


def find_empty(folder: Folder, layout: Layout, names: Sequence[str]) -> list[Path]:
    """Return the folders beside those of classes that have no images."""
    tops = [folder.path]
    if layout == WITH_SPLITS:
        tops = [path for path in sorted(folder.path.iterdir()) if get_split(path.name)]
    empty = []
    for path in (path for top in tops for path in sorted(top.iterdir())):
        is_hidden = path.name[0] in '._@'
        if path.is_dir() and not path.is_symlink() and path.name not in names and not is_hidden:
            empty.append(path)
    return empty
