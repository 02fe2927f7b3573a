"""Read class folders: a folder of images for each class, which bears its name.

Format: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html,
but images lie directly in the folders of classes. Nearly all folders of images look like it, so
this format is tried last.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ...errors import UserError, shorten
from ..decoding import read_sizes
from ..folders import Folder
from ..layouts import Layout, Match, get_split
from ..pairing import Pair
from ..records import DatasetInfo, LabelSplit

SOURCE = 'https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html'
TOOLS = 'torchvision, Ultralytics, Roboflow and CVAT (classes)'
WITH_SPLITS = Layout(
    f'{TOOLS}, with splits',
    SOURCE,
    'train/cat/a.jpg\ntrain/dog/b.jpg\nval/cat/c.jpg\nval/dog/d.jpg',
)
WITHOUT_SPLITS = Layout(TOOLS, SOURCE, 'cat/a.jpg\ndog/b.jpg')
LAYOUTS = (WITH_SPLITS, WITHOUT_SPLITS)
MIN_PAIRS = 0.9  # the share of images with a partner from which two folders are not classes

Images = dict[str, dict[str, list[Path]]]  # by split and class
FileByKey = dict[str, Path]  # the first file with each key


def match_layouts(folder: Folder) -> Iterator[Match]:
    """Yield the layout of class folders that a folder fits or nearly fits."""
    tops = sorted({file.parts[0] for file in folder.images if len(file.parts) > 1})
    splits = [name for name in tops if get_split(name)]
    depth = 2 if splits else 1  # of the folders of classes
    found = list_by_class(folder, depth)
    wrong_folders = find_wrong_splits(tops, splits) or find_wrong_folders(folder, found, depth)
    classes = [*found.get('train', ())]
    is_beside_tables = len(classes) == 1 and bool(folder.list_files('.json', '.csv'))
    if not wrong_folders and (not classes or is_beside_tables):
        return  # these are images of another format
    layout = WITH_SPLITS if splits else WITHOUT_SPLITS
    misfit = wrong_folders or find_wrong_files(folder, classes, depth)
    yield Match(layout, partial(read_dataset, folder, found), misfit)


def list_by_class(folder: Folder, depth: int) -> Images:
    """Return the images in folders of a depth: 1 for classes, 2 for classes in splits."""
    found = {}
    for file in folder.images:
        folders = file.parts[:-1]
        if len(folders) == depth:
            split = get_split(folders[0]) if depth > 1 else 'train'
            found.setdefault(split, {}).setdefault(folders[-1], []).append(file)
    return found


def find_wrong_splits(tops: Sequence[str], splits: Sequence[str]) -> str:
    """Return what is wrong with the top folders, some of which may be splits, or ''."""
    if splits and len(splits) < len(tops):
        return f'the folders {shorten(tops, 8)} are splits and others. Expected only one kind'
    if len(set(map(get_split, splits))) < len(splits):
        return f'several of the folders {shorten(splits, 8)} stand for one split. Rename one'
    return ''


def find_wrong_folders(folder: Folder, found: Images, depth: int) -> str:
    """Return what is wrong with the folders of images, or ''.

    Args:
        folder: The dataset's folder.
        found: The images that are directly in class folders.
        depth: How many folders deep these are.
    """
    deep = [file for file in folder.images if len(file.parts) > depth + 1]
    if deep:
        return f'{shorten(deep)} are below the folders of classes. Move them up'
    if found and 'train' not in found:
        return f'has class folders for {shorten(list(found))}, but none for training'
    return ''


def find_wrong_files(folder: Folder, classes: Sequence[str], depth: int) -> str:
    """Return why the files of class folders for training do not suffice or fit, or ''."""
    if len(classes) == 1:
        return f'has no annotations, and for training only the class folder {classes[0]}'
    annotations = [  # beside images, which are not read
        file
        for file in folder.list_files('.json', '.csv', '.xml', '.txt')
        if len(file.parts) > depth and file.parts[depth - 1] in classes
    ]
    if annotations:
        return f'has files that are not annotations of a known format: {shorten(annotations)}'
    return ''


def read_dataset(folder: Folder, found: Images, task: str | None) -> DatasetInfo:
    """Read class folders. The classes are those of training, sorted.

    Raises:
        UserError: Another split has a class that training lacks, or the folders of two classes are
            photos and their maps.
    """
    names = tuple(sorted(found['train']))
    splits = {}
    for split, images in found.items():
        others = sorted(set(images).difference(names))
        if others:
            raise UserError(
                f'{folder.path}: {split} has the class folders {shorten(others)}, but train has '
                f'only {shorten(names)}. Add the class folders to train, or remove them from '
                f'{split}'
            )
        entries = [
            {'file_name': str(file), 'label': label, 'classes': {name}}
            for label, name in enumerate(names)
            for file in images.get(name, ())
        ]
        splits[split] = LabelSplit(folder.path.resolve(), entries)
    if task != 'classify':
        check_no_pairs(folder.path, found['train'])
    return DatasetInfo(folder.path, 'class folders', ('classes',), names, splits)


class NameIndex(NamedTuple):
    """Files by their names, and by these without their last or first part (:func:`list_keys`).

    It finds photos and maps whose names are the same but for one part: a.jpg and a.png, a.jpg and
    a_mask.png, img_1.jpg and gt_1.png.
    """

    by_name: FileByKey
    by_start: FileByKey
    by_end: FileByKey

    def add(self, file: Path) -> None:
        for index, key in zip(self, list_keys(file), strict=True):
            index.setdefault(key, file)

    def find_partner(self, file: Path) -> Path | None:
        """Return the file with such a name, or None.

        Files whose names differ in their first part must be of different types.
        """
        name, start, end = list_keys(file)
        partner = (
            self.by_name.get(name)  # a.png for a.jpg
            or self.by_name.get(start)  # a.jpg for a_mask.png
            or self.by_start.get(name)  # a_mask.png for a.jpg
        )
        if partner or not end:
            return partner
        similar = self.by_end.get(end)  # gt_1.png for img_1.jpg
        return similar if similar and similar.suffix != file.suffix else None


def list_keys(file: Path) -> tuple[str, str, str]:
    """Return the keys of a file in the three dicts of a :class:`NameIndex`.

    For img_1_mask.png, these are img_1_mask, img_1 and 1_mask.
    """
    name = file.stem
    return name, name.rpartition('_')[0], name.partition('_')[2]


def check_no_pairs(root: Path, images: Mapping[str, Sequence[Path]]) -> None:
    """Raise a UserError if the images of a folder are partners of those of another one.

    Photos and their maps are: they have the same size, and names that only differ in their first
    or last part (:class:`NameIndex`). With ``--task classify`` this is not asked.
    """
    index = NameIndex({}, {}, {})  # of the images in the folders before
    for name in sorted(images):
        pairs = defaultdict(list)  # the images with a partner, by the folder of the latter
        for file in images[name]:
            partner = index.find_partner(file)
            if partner:
                pairs[partner.parent.name].append((root / file, root / partner))
        for file in images[name]:
            index.add(file)
        if pairs:
            other = max(pairs, key=lambda other: len(pairs[other]))
            num_files = min(len(images[name]), len(images[other]))
            check_sizes_differ(pairs[other], num_files)


def check_sizes_differ(pairs: Sequence[Pair], num_files: int) -> None:
    """Raise a UserError if nearly all files of a folder have a partner of the same size.

    Args:
        pairs: Images of a folder with their partners in another one.
        num_files: The number of images in the smaller folder.
    """
    if len(pairs) < MIN_PAIRS * num_files:
        return  # no need to read the files
    num_same = sum(have_same_size(*pair) for pair in pairs)
    if num_same >= MIN_PAIRS * num_files:
        image, other = pairs[0]
        raise UserError(
            f'{num_same} of {num_files} images in {image.parent} have a partner of their name and '
            f'size in {other.parent}. Are they images and their maps? Then call the folders images '
            'and masks. Are they classes? Then add --task classify'
        )


def have_same_size(image: Path, other: Path) -> bool:
    """Return whether two images have the same size; False if one cannot be read."""
    with suppress(UserError):
        return read_sizes(image) == read_sizes(other)
    return False
