"""Read images without annotation files: a folder per class, or a segmentation map for each image."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from ...errors import UserError, first_line, shorten
from ..headers import IGNORED, ONE_CHANNEL
from .dataset_info import SPLIT_NAME, DatasetInfo, Split, find_split

IMAGE_FOLDERS = ('images', 'image', 'imgs', 'img', 'img_dir', 'jpegimages')
MAP_FOLDERS = ('labels', 'label', 'masks', 'mask', 'annotations', 'ann_dir', 'segmentationclass')
MAP_SUFFIXES = ('.png', '.bmp', '.tif', '.tiff')


def read_segmentation_maps(folder: Path, files: Sequence[Path], names: Sequence[str] | None) -> DatasetInfo | None:
    """The data of ``images`` and ``labels`` or ``masks`` with files of the same names; None without such.

    Args:
        folder: The folder.
        files: All image files in it, relative to it.
        names: The names of the classes, where a file has them.
    """
    there = {str(file).lower(): file for file in files}
    unpaired, maps, splits, suffixes = [], [], {}, set()
    for file in files:
        depth = next((i for i, name in enumerate(file.parts[:-1]) if name.lower() in IMAGE_FOLDERS), None)
        if depth is None:
            continue
        before, name = Path(*file.parts[:depth]), Path(*file.parts[depth + 1 :]).with_suffix('')
        tried = (f'{before / other / name}{suffix}'.lower() for other in MAP_FOLDERS for suffix in MAP_SUFFIXES)
        found = next((there[path] for path in tried if path in there), None)
        if found is None:
            unpaired.append(str(file))
            continue
        maps.append(folder / found)
        suffixes.add((file.suffix, found.suffix))
        images, labels = ((folder / Path(*each.parts[: depth + 1])).resolve() for each in (file, found))
        split = splits.setdefault(find_split(file.parent) or 'train', Split(images, [], labels=labels))
        if split.images != images:
            raise UserError(f'{folder} has images of a split in {split.images} and {images}; put them into one folder')
        split.content.append(str(name))
    if not maps:
        return None
    if unpaired:
        raise UserError(f'{folder}: images without a segmentation map of their name: {shorten(unpaired)}')
    if len(suffixes) > 1:
        found = ', '.join(' with '.join(each) for each in sorted(suffixes))
        raise UserError(
            f'{folder} has images and segmentation maps of several suffixes ({found}); mmseg reads one of each, in the '
            'same capitals: rename or convert the fewer'
        )
    highest, notes = find_highest_label(maps), []
    if names is None:
        names = [f'class {number}' for number in range(highest + 1)]
        notes = ['the classes have no names here: a file classes.txt with one on each line would give them']
    elif highest >= len(names):
        raise UserError(f'{folder}: there are labels up to {highest}, but only {len(names)} classes have names, from 0')
    return DatasetInfo(folder, 'segmentation maps', ('labels',), tuple(names), splits, notes, suffixes.pop())


def find_highest_label(files: Sequence[Path]) -> int:
    """The highest label of segmentation maps, 255 (not labelled) left out."""
    with ThreadPoolExecutor() as pool:
        labels = set().union(*pool.map(find_labels, files))
    highest = max(labels - {IGNORED}, default=0)
    if highest == 0:
        white = ' and 255, which means not labelled' if IGNORED in labels else ''
        raise UserError(
            f'{files[0]} and the other segmentation maps have no label but 0{white}; expected 0 for the first class, '
            '1 for the second, and so on. To write 1 for 255: '
            'PIL.Image.open(file).point(lambda value: value // 255).save(copy)'
        )
    return highest


def find_labels(file: Path) -> set[int]:
    """The labels that a segmentation map has."""
    try:
        with Image.open(file) as image:
            mode, labels = image.mode, np.unique(np.array(image))
    # Decoders raise errors of any class on damaged files.
    except Exception as error:
        raise UserError(f'{file} is not a readable segmentation map ({first_line(error)})') from None
    if mode not in ONE_CHANNEL:
        raise UserError(f'{file} is {mode}; expected one channel of 8 bits, the number of a class at each pixel')
    return {*map(int, labels)}


def read_class_folders(folder: Path, files: Sequence[Path]) -> DatasetInfo | None:
    """The data of a folder per class, maybe below ``train`` and ``val``; None without such."""
    depth = int(any(SPLIT_NAME.fullmatch(file.parts[0]) for file in files if len(file.parts) > 2))
    splits: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    stray = []
    for file in files:
        split = find_split(Path(file.parts[0])) if depth else 'train'
        if split is None or len(file.parts) < 2 + depth:
            stray.append(str(file))
        else:
            splits[split][file.parts[depth]].append(str(file))
    names = tuple(sorted(splits['train']))
    # Folders of a split or of images are parts of another format, of which something is missing.
    is_other = any(name.lower() in IMAGE_FOLDERS or (not depth and SPLIT_NAME.fullmatch(name)) for name in names)
    if len(names) < 2 or is_other or len(stray) > len(files) / 2:
        return None
    for split, classes in splits.items():
        others = sorted(classes.keys() - {*names})
        if others:
            raise UserError(f'{folder}: {split} has folders of no class of train ({shorten(others)}; {shorten(names)})')
    notes = [f'images in no folder of a class are left out: {shorten(stray)}'] if stray else []
    by_name = {
        split: Split(folder.resolve(), [f'{name} {names.index(each)}' for each in names for name in classes[each]])
        for split, classes in splits.items()
    }
    return DatasetInfo(folder, 'a folder for each class', ('classes',), names, by_name, notes)
