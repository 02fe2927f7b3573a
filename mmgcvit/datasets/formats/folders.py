"""Read datasets without annotation files: class folders, or a segmentation map for each image."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from ...errors import UserError, shorten
from ..decoding import IGNORE_INDEX, read_segmentation_map, read_sizes
from .dataset_info import SPLIT_NAME, DatasetInfo, Split, assign_splits, find_split

IMAGE_FOLDERS = ('images', 'image', 'imgs', 'img', 'img_dir', 'jpegimages')
MAP_FOLDERS = ('labels', 'label', 'masks', 'mask', 'annotations', 'ann_dir', 'segmentationclass')
MAP_SUFFIXES = ('.png', '.bmp', '.tif', '.tiff')


def read_segmentation_maps(folder: Path, files: Sequence[Path], classes: Sequence[str] | None) -> DatasetInfo | None:
    """Read images and segmentation maps with the same file names. Return None if no image has a map."""
    # The case of folders and suffixes does not matter. A name in the same case counts first: A.png is the map of A.jpg.
    by_path = {str(file).lower(): file for file in files}
    by_path |= {f'{str(file.parent).lower()}/{file.stem}{file.suffix.lower()}': file for file in files}
    map_files, problems = {}, []
    for file in files:
        depth = next((i for i, name in enumerate(file.parts[:-1]) if name.lower() in IMAGE_FOLDERS), None)
        if depth is None:
            continue
        rest = Path(*file.parts[depth + 1 : -1])
        parents = [str(Path(*file.parts[:depth], maps, rest)).lower() for maps in MAP_FOLDERS]
        names = [f'{parent}/{file.stem}{suffix}' for parent in parents for suffix in MAP_SUFFIXES]
        found = {by_path[name] for name in names if name in by_path} or {
            by_path[name.lower()] for name in names if name.lower() in by_path
        }
        if len(found) == 1:
            map_files[file] = found.pop()
        else:
            number = (
                f'several segmentation maps ({shorten([*map(str, sorted(found))])})' if found else 'no segmentation map'
            )
            problems.append(f'{folder / file} has {number} of its name')
    counts = Counter(map_files.values())
    problems += [f'{folder / file} shares its map with another image' for file, m in map_files.items() if counts[m] > 1]
    pairs = [(file, map_file) for file, map_file in map_files.items() if counts[map_file] == 1]
    if not pairs:
        return None
    split_names = assign_splits(folder, [file for file, _ in pairs])
    labels, splits = set(), defaultdict(lambda: Split(folder.resolve(), []))
    with ThreadPoolExecutor() as pool:
        all_labels = pool.map(lambda pair: read_labels(folder / pair[0], folder / pair[1]), pairs)
        for (file, map_file), image_labels in zip(pairs, all_labels, strict=True):
            if isinstance(image_labels, str):
                problems.append(image_labels)
            else:
                labels |= image_labels
                splits[split_names[file]].content.append((str(file), str(map_file)))
    values = [*map(str, sorted(labels))]
    values = ' and '.join(values) if len(values) < 3 else shorten(values, 8)
    labels -= {IGNORE_INDEX}
    notes, has_gaps, advice = [], False, 'Change the pixels, or the classes in classes.txt'
    if classes is None:
        classes = [f'class {index}' for index in range(max(labels, default=0) + 1)]
        notes = ['the classes have no names. To name them, write classes.txt with a name on each line']
        has_gaps = len(labels | {0}) < len(classes)
    # If there are no splits, no map can be used, and leave_out_unusable raises an error.
    if splits and (has_gaps or not 0 < max(labels, default=0) < len(classes)):
        if has_gaps:
            advice = 'If the values are right, name all classes in classes.txt, one on each line'
        if values == '0 and 255':
            code = 'PIL.Image.open(file).point(lambda value: value // 255).save(new_file)'
            advice = f'To replace 255 by 1 in a file, run in Python: {code}'
        raise UserError(
            f'{folder}: the pixels of the segmentation maps have the values {values}, and the classes are '
            f'{shorten(classes, 8)}. Expected 0 for the first class, 1 for the second, and so on. Pixels with the '
            f'value 255 belong to no class. {advice}'
        )
    dataset = DatasetInfo(folder, 'segmentation maps', ('seg_maps',), tuple(classes), dict(splits), notes, problems)
    dataset.add_empty_classes({name for label, name in enumerate(classes) if label in labels})
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
    found = set(np.unique(labels).tolist())
    return f'{map_file} has no labelled pixel: all are {IGNORE_INDEX}' if found == {IGNORE_INDEX} else found


def read_class_folders(folder: Path, files: Sequence[Path]) -> DatasetInfo | None:
    """Read class folders in ``folder``, or in its folders of splits such as train. Return None if there are none.

    Raises:
        UserError: Folders of splits cannot be distinguished from class folders, or only some splits have a class.
    """
    nested = [file for file in files if len(file.parts) > 2]
    top_names = {file.parts[0] for file in files if len(file.parts) > 1}
    split_names = {name for name in top_names if SPLIT_NAME.fullmatch(name.lower())}
    # 1 if the class folders are in folders of splits, otherwise 0.
    depth = int(any(file.parts[0] in split_names for file in nested))
    folder_splits = {name: find_split(Path(name)) for name in (split_names if depth else top_names)}
    by_split = defaultdict(set)
    for name, split in folder_splits.items():
        by_split[split].add(name)
    splits: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    stray = []
    for file in files:
        split = folder_splits.get(file.parts[0]) if depth else 'train'
        if split is None or len(file.parts) < 2 + depth:
            stray.append(str(file))
        else:
            splits[split][file.parts[depth]].append(str(file))
    names = tuple(sorted(splits['train']))
    # If a folder is named like one of images or maps, this is an incomplete dataset of another format. Test images
    # without classes do not count.
    num_stray = sum(folder_splits.get(Path(name).parts[0]) != 'test' for name in stray)
    is_other = not {name.lower() for name in names}.isdisjoint((*IMAGE_FOLDERS, *MAP_FOLDERS))
    if len(names) < 2 or is_other or num_stray > len(files) / 2:
        return None
    ambiguous = [name for split, group in by_split.items() if split and depth and len(group) > 1 for name in group]
    if not depth:
        # Names such as data_train and data_test, or folders of splits in class folders.
        named = {name for name in top_names if folder_splits[name]} if len(by_split.keys() - {None}) > 1 else set()
        ambiguous = (
            split_names
            or named
            or {str(Path(*f.parts[:2])) for f in nested if SPLIT_NAME.fullmatch(f.parts[1].lower())}
        )
    if ambiguous:
        raise UserError(
            f'{folder}: are the folders {shorten(sorted(ambiguous), 4)} classes or splits? Put the class folders into '
            "folders 'train', 'val' and 'test', one of each, for example train/cat"
        )
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
