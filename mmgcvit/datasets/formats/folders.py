"""Read images without annotation files: a folder per class, or a segmentation map for each image."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ...errors import UserError, shorten
from ..headers import IGNORED, read_segmentation_map
from .dataset_info import SPLIT_NAME, DatasetInfo, Split, find_split

IMAGE_FOLDERS = ('images', 'image', 'imgs', 'img', 'img_dir', 'jpegimages')
MAP_FOLDERS = ('labels', 'label', 'masks', 'mask', 'annotations', 'ann_dir', 'segmentationclass')
MAP_SUFFIXES = ('.png', '.bmp', '.tif', '.tiff')


def read_segmentation_maps(folder: Path, files: Sequence[Path], names: Sequence[str] | None) -> DatasetInfo | None:
    """Read ``images`` and ``labels`` or ``masks`` with files of the same names; None if there are none."""
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
        raise UserError(f'{folder} has files of several suffixes ({found}); mmseg reads one of each: rename the others')
    with ThreadPoolExecutor() as pool:
        labels = set().union(*pool.map(lambda file: np.unique(read_segmentation_map(file)).tolist(), maps)) - {IGNORED}
    notes = []
    if names is None:
        names = [f'class {number}' for number in range(max(labels, default=0) + 1)]
        notes = ['the classes have no names here: a file classes.txt with one on each line would give them']
    if not 0 < max(labels, default=0) < len(names):
        raise UserError(
            f'{folder}: the segmentation maps have the labels {sorted(labels)}, for the classes {shorten(names, 8)}; '
            'expected 0 for the first class, 1 for the second, and so on; 255 is ignored. To write 1 for 255: '
            'PIL.Image.open(file).point(lambda value: value // 255).save(copy)'
        )
    return DatasetInfo(folder, 'segmentation maps', ('labels',), tuple(names), splits, notes, suffixes.pop())


def read_class_folders(folder: Path, files: Sequence[Path]) -> DatasetInfo | None:
    """Read a folder per class, maybe below ``train`` and ``val``; None if there are no such folders."""
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
