"""Read class folders: a folder of images for each class, which bears its name.

Format: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html,
but images lie directly in the folders of classes. Nearly all folders of images look like it, so
this format is tried last.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ....errors import UserError, shorten
from ....host.files import normalise
from ..folders import Folder
from ..layouts import Fit, Layout, Match, Misfit, get_split
from ..records import ClassImage, ClassSplit, DatasetInfo
from .class_pairs import check_no_pairs

SOURCE = 'https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html'
TOOLS = 'torchvision, Ultralytics, Roboflow and CVAT (classes)'
WITH_SPLITS = Layout(
    tools=f'{TOOLS}, with splits',
    source=SOURCE,
    tree='train/cat/a.jpg\ntrain/dog/b.jpg\nval/cat/c.jpg\nval/dog/d.jpg',
)
WITHOUT_SPLITS = Layout(tools=TOOLS, source=SOURCE, tree='cat/a.jpg\ndog/b.jpg')
LAYOUTS = (WITH_SPLITS, WITHOUT_SPLITS)

Images = dict[str, dict[str, list[Path]]]  # by split and class


def match_layouts(folder: Folder) -> Fit:
    """Return the layout of class folders that a folder fits or nearly fits, if any.

    A misfit says what is wrong with folders that may be splits and classes.
    """
    tops = sorted({file.parts[0] for file in folder.images if len(file.parts) > 1})
    splits = [name for name in tops if get_split(name)]
    # The depth is that of the folders of classes.
    layout, depth = (WITH_SPLITS, 2) if splits else (WITHOUT_SPLITS, 1)
    found = list_by_class(folder, depth)
    classes = [*found.get('train', ())]
    misfit = find_wrong_splits(tops, splits) or find_wrong_folders(folder, found, depth)
    # A single folder of images beside a table, or none, is not meant as class folders.
    has_one_and_table = len(classes) == 1 and folder.list_files('.json', '.csv')
    if not misfit and (not classes or has_one_and_table):
        return Fit()
    misfit = misfit or find_wrong_files(folder, classes, depth)
    if misfit:
        return Fit(misfit=Misfit(layout, misfit))
    return Fit([Match(layout, partial(read_dataset, folder, found))])


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
    """Return what is wrong with the folders at the top, some of which may be splits, or ''."""
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
        depth: The depth of class folders: 1, or 2 in folders of splits.
    """
    deep = [file for file in folder.images if len(file.parts) > depth + 1]
    if deep:
        return f'{shorten(deep)} are below the folders of classes. Move them up'
    if found and 'train' not in found:
        return f'has class folders for {shorten(list(found))}, but none for training'
    return ''


def find_wrong_files(folder: Folder, classes: Sequence[str], depth: int) -> str:
    """Return why class folders for training cannot be used, or ''.

    There is only one, or files that look like annotations are among the images. A folder of
    ``predict --labels`` may have one, since the model may see one class in all pictures.
    """
    if len(classes) == 1 and not folder.origin_files:
        return f'has no annotations, and for training only the class folder {classes[0]}'
    annotations = [  # files in class folders, beside the images
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
    name_by_form = {normalise(name): name for name in names}
    splits = {}
    for split, folders in found.items():
        images: dict[str, list[Path]] = {}
        for name, files in folders.items():
            images.setdefault(name_by_form.get(normalise(name), name), []).extend(files)
        others = sorted(set(images).difference(names))
        if others:
            raise UserError(
                f'{folder.path}: {split} has the class folders {shorten(others)}, but train has '
                f'only {shorten(names)}. Add the class folders to train, or remove them from '
                f'{split}'
            )
        labelled = [
            ClassImage(str(file), label, class_name=name)
            for label, name in enumerate(names)
            for file in images.get(name, ())
        ]
        splits[split] = ClassSplit(folder.path.resolve(), labelled)
    if task != 'classify':
        check_no_pairs(folder.path, found['train'])
    others = sorted({*folder.files}.difference(folder.images))
    notes = [f'not read, because they are no images: {shorten(others)}'] if others else []
    return DatasetInfo(
        folder=folder.path,
        format='class folders',
        annotation_types=('classes',),
        classes=names,
        splits=splits,
        notes=notes,
    )
