"""Read class folders: a folder of images for each class, which bears its name.

Format: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html,
but images lie directly in the folders of classes. Nearly all folders of images look like it, so
this format is tried last.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from ...errors import UserError, shorten
from ..decoding import read_sizes
from ..layouts import Folder, Layout, Match, get_split
from ..records import DatasetInfo, LabelSplit

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
MIN_PAIRS = 0.9  # the share of images with a partner from which two folders are not classes

Images = dict[str, dict[str, list[Path]]]  # by split and class


def match_layouts(folder: Folder) -> list[Match]:
    """Return the layout of class folders that a folder fits or nearly fits."""
    tops = sorted({file.parts[0] for file in folder.images if len(file.parts) > 1})
    splits = [name for name in tops if get_split(name)]
    layout, depth = (WITH_SPLITS, 2) if splits else (WITHOUT_SPLITS, 1)
    found = {}  # images by split and class
    for file in folder.images:
        folders = file.parts[:-1]
        if len(folders) == depth:
            split = get_split(folders[0]) if splits else 'train'
            found.setdefault(split, {}).setdefault(folders[-1], []).append(file)
    deep = [file for file in folder.images if len(file.parts) > depth + 1]
    classes = sorted(found.get('train', ()))
    annotations = [  # beside images, which are not read
        file
        for file in folder.list_files('.json', '.csv', '.xml', '.txt')
        if len(file.parts) > depth and file.parts[depth - 1] in classes
    ]
    misfit = ''
    if splits and len(splits) < len(tops):
        misfit = f'the folders {shorten(tops, 8)} are splits and others. Expected only one kind'
    elif len(set(map(get_split, splits))) < len(splits):
        misfit = f'several of the folders {shorten(splits, 8)} stand for one split. Rename one'
    elif deep:
        misfit = f'{shorten(deep)} are below the folders of classes. Move them up'
    elif found and not classes:
        misfit = f'has class folders for {shorten(list(found))}, but none for training'
    elif not classes or (len(classes) < 2 and folder.list_files('.json', '.csv')):
        return []  # the message names such files
    elif len(classes) < 2:
        misfit = f'has no annotations, and for training only the class folder {classes[0]}'
    elif annotations:
        misfit = f'has files that are not annotations of a known format: {shorten(annotations)}'
    return [Match(layout, partial(read_dataset, folder, found), misfit)]


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


def check_no_pairs(root: Path, images: Mapping[str, Sequence[Path]]) -> None:
    """Raise a UserError if the images of a folder are partners of those of another one.

    Photos and their maps are: they have the same size, and the same name or one that begins or
    ends with the other's. With ``--task classify`` this is not asked.
    """
    # Files of the folders before, by their names, also without ending and without beginning.
    index = {}
    for name in sorted(images):
        pairs = [(file, find_partner(file, index)) for file in images[name]]
        folders = Counter(partner.parent.name for _, partner in pairs if partner)
        for file in images[name]:
            start, end = file.stem.rpartition('_')[0], file.stem.partition('_')[2]
            for key in (file.stem, f'{start}_*', f'*_{end}'):
                index.setdefault(key, file)
        for other, number in folders.most_common(1):
            num_files = min(len(images[name]), len(images[other]))
            if number < MIN_PAIRS * num_files:
                continue
            num_same = 0
            for file, partner in pairs:
                if partner and partner.parent.name == other:
                    with suppress(UserError):  # for images that cannot be read
                        num_same += read_sizes(root / file) == read_sizes(root / partner)
            if num_same >= MIN_PAIRS * num_files:
                raise UserError(
                    f'{root}: {num_same} of {num_files} images in {name} have a partner of their '
                    f'name and size in {other}. Are they images and their maps? Then call '
                    'the folders images and masks. Are they classes? Then add --task classify'
                )


def find_partner(file: Path, index: Mapping[str, Path]) -> Path | None:
    """Return the file with the same name, of which one may have an ending: a_mask.png.

    Files of different types may also differ in how their names begin: img_1.jpg and gt_1.png.
    """
    name = file.stem
    partner = index.get(name) or index.get(name.rpartition('_')[0]) or index.get(f'{name}_*')
    similar = index.get(f'*_{name.partition("_")[2]}')
    if partner is None and similar and similar.suffix != file.suffix and '_' in name:
        return similar
    return partner
