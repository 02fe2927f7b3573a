"""Read datasets without annotation files: class folders, or a segmentation map for each image."""

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ...errors import UserError, shorten
from ..headers import IGNORE_INDEX, read_segmentation_map, read_sizes
from .dataset_info import SPLIT_NAME, DatasetInfo, Split, find_split

IMAGE_FOLDERS = ('images', 'image', 'imgs', 'img', 'img_dir', 'jpegimages')
MAP_FOLDERS = ('labels', 'label', 'masks', 'mask', 'annotations', 'ann_dir', 'segmentationclass')
MAP_SUFFIXES = ('.png', '.bmp', '.tif', '.tiff')


def read_segmentation_maps(folder: Path, files: Sequence[Path], names: Sequence[str] | None) -> DatasetInfo | None:
    """Read images and segmentation maps with the same file names. Return None if no image has a map."""
    by_lower_path = {str(file).lower(): file for file in files}
    pairs, problems = [], []
    for file in files:
        depth = next((i for i, name in enumerate(file.parts[:-1]) if name.lower() in IMAGE_FOLDERS), None)
        if depth is None:
            continue
        parent, name = Path(*file.parts[:depth]), Path(*file.parts[depth + 1 :]).with_suffix('')
        candidates = (f'{parent / maps / name}{suffix}'.lower() for maps in MAP_FOLDERS for suffix in MAP_SUFFIXES)
        map_file = next((by_lower_path[path] for path in candidates if path in by_lower_path), None)
        if map_file is None:
            problems.append(f'{folder / file} has no segmentation map of its name')
        else:
            pairs.append((file, map_file))
    if not pairs:
        return None
    labels, splits = set(), defaultdict(lambda: Split(folder.resolve(), []))
    with ThreadPoolExecutor() as pool:
        all_labels = pool.map(lambda pair: read_labels(folder / pair[0], folder / pair[1]), pairs)
        for (file, map_file), image_labels in zip(pairs, all_labels, strict=True):
            if isinstance(image_labels, str):
                problems.append(image_labels)
            else:
                labels |= image_labels
                splits[find_split(file.parent) or 'train'].content.append((str(file), str(map_file)))
    values = [*map(str, sorted(labels))]
    values = ' and '.join(values) if len(values) < 3 else shorten(values, 8)
    labels -= {IGNORE_INDEX}
    notes = []
    if names is None:
        names = [f'class {index}' for index in range(max(labels, default=0) + 1)]
        notes = ['the classes have no names. To name them, write classes.txt with a name on each line']
    # If there are no splits, no map can be used, and leave_out_unusable raises an error.
    if splits and not 0 < max(labels, default=0) < len(names):
        advice = 'Change the pixels, or the names in classes.txt'
        if values == '0 and 255':
            code = 'PIL.Image.open(file).point(lambda value: value // 255).save(new_file)'
            advice = f'To replace 255 by 1 in a file, run in Python: {code}'
        raise UserError(
            f'{folder}: the pixels of the segmentation maps have the values {values}, and the classes are '
            f'{shorten(names, 8)}. Expected 0 for the first class, 1 for the second, and so on. Pixels with the '
            f'value 255 belong to no class. {advice}'
        )
    dataset = DatasetInfo(folder, 'segmentation maps', ('labels',), tuple(names), dict(splits), notes, problems)
    dataset.add_empty_classes({name for label, name in enumerate(names) if label in labels})
    return dataset


def read_labels(image: Path, map_file: Path) -> set[int] | str:
    """Return the labels in a segmentation map, or a message if the map is unreadable or not of its image's size."""
    try:
        labels, (_, size) = read_segmentation_map(map_file), read_sizes(image)
    except UserError as error:
        return str(error)
    height, width = labels.shape
    if (width, height) != size:
        return f'{map_file} is {width} x {height}, but its image is {size[0]} x {size[1]}'
    return set(np.unique(labels).tolist())


def read_class_folders(folder: Path, files: Sequence[Path]) -> DatasetInfo | None:
    """Read class folders in ``folder``, or in its folders of splits such as train. Return None if there are none."""
    # 1 if the class folders are in folders of splits, otherwise 0.
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
    # If a folder is named like a split or an image folder, this is an incomplete dataset of another format.
    is_other = any(name.lower() in IMAGE_FOLDERS or (not depth and SPLIT_NAME.fullmatch(name)) for name in names)
    if len(names) < 2 or is_other or len(stray) > len(files) / 2:
        return None
    for split, classes in splits.items():
        others = sorted(classes.keys() - {*names})
        if others:
            raise UserError(
                f'{folder}: {split} has the class folders {shorten(others)}, but train has only {shorten(names)}. Add '
                f'the class folders to train, or remove them from {split}'
            )
    notes = [f'images outside of class folders are left out: {shorten(stray)}'] if stray else []
    by_name = {
        split: Split(folder.resolve(), [(file, str(i)) for i, name in enumerate(names) for file in classes[name]])
        for split, classes in splits.items()
    }
    return DatasetInfo(folder, 'class folders', ('classes',), names, by_name, notes)
