"""Read datasets without annotation files: class folders, or a map for each image, semantic or of
instances.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np

from ...errors import UserError, format_count, shorten
from ..decoding import IGNORE_INDEX, read_map
from .dataset_info import DatasetInfo, Split, make_split, read_each
from .instance_maps import INSTANCE_MAPS, are_instances, read_instances
from .paths import SPLIT_NAME, assign_splits, find_split

ClassFolders = dict[str, dict[str, list[str]]]  # files by split and class
IMAGE_FOLDERS = ('images', 'image', 'imgs', 'img', 'img_dir', 'jpegimages')
MAP_FOLDERS = ('labels', 'label', 'masks', 'mask', 'annotations', 'ann_dir', 'segmentationclass')
KNOWN_FOLDERS = frozenset((*IMAGE_FOLDERS, *MAP_FOLDERS))
MAP_SUFFIXES = ('.png', '.bmp', '.tif', '.tiff')
# Cellpose's maps are beside their images: a_masks.png is the map of a.png or a_img.png.
MAP_ENDINGS = ('_masks', '_cp_masks')


def read_maps(
    folder: Path, files: list[Path], classes: list[str] | None, task: str | None
) -> DatasetInfo | None:
    """Read images and maps with the same file names. Return None if no image has a map."""
    tests = {file for file in files if find_split(file.parent) == 'test'}
    # Test images need no maps.
    has_maps = any(file.stem.lower().endswith(MAP_ENDINGS) for file in tests)
    has_maps = has_maps or any(name.lower() in MAP_FOLDERS for file in tests for name in file.parts)
    unlabelled = set() if has_maps else tests
    pairs, problems = find_map_files(folder, [file for file in files if file not in unlabelled])
    if not pairs:
        return None
    split_names = assign_splits(folder, list(pairs))
    left_out = (
        f'test is left out: {format_count(len(unlabelled), "image")} without segmentation maps'
    )
    notes, splits = (
        [left_out] if unlabelled else [],
        defaultdict(lambda: Split(folder.resolve(), [])),
    )
    used = {file.parent for file in (*pairs, *pairs.values(), *unlabelled)}
    paths = [str(file) for file in files if file.parent not in used]
    stray = [path for path in paths if KNOWN_FOLDERS.isdisjoint(path.lower().split('/'))]
    notes += (
        [f'images outside of the folders of images and maps are left out: {shorten(stray)}']
        if stray
        else []
    )
    if are_instances(folder, [*pairs.values()], classes, task):
        names = tuple(classes or ['object'])
        for split in dict.fromkeys(split_names.values()):
            images = [file for file in pairs if split_names[file] == split]
            splits[split], found = make_split(
                folder, names, images, partial(read_instances, folder, pairs)
            )
            problems += found
        return DatasetInfo(
            folder, INSTANCE_MAPS, ('masks', 'boxes'), names, dict(splits), notes, problems
        )
    read, unreadable = read_each(
        lambda pair: (pair, read_labels(*(folder / file for file in pair))), pairs.items()
    )
    for (file, map_file), found in read:
        split = splits[split_names[file]]
        split.content.append((str(file), str(map_file)))
        split.map_labels[str(map_file)] = found
    labels = {label for _, found in read for label in found}
    unnamed = 'the classes have no names. To name them, write classes.txt with a name on each line'
    notes += [unnamed] if classes is None else []
    # If no map can be used, leave_out_unusable raises an error.
    classes = check_labels(folder, labels, classes) if splits else classes or ()
    problems += unreadable
    return DatasetInfo(
        folder, 'semantic maps', ('seg_maps',), tuple(classes), dict(splits), notes, problems
    )


def find_map_files(folder: Path, files: Sequence[Path]) -> tuple[dict[Path, Path], list[str]]:
    """Return the map of each image, and messages about images without a map of their own."""
    # The case of folders and suffixes does not matter. A name in the same case counts first: A.png
    # is the map of A.jpg.
    by_path = {f'{file.parent}/{file.name}'.lower(): file for file in files}
    by_path |= {
        f'{str(file.parent).lower()}/{file.stem}{file.suffix.lower()}': file for file in files
    }
    num_beside = sum(file.stem.lower().endswith(MAP_ENDINGS) for file in files)
    endings = (
        MAP_ENDINGS if num_beside > len(files) / 5 else ()
    )  # other files may have such names too
    maps, without = {}, {}
    for file in files:
        depth = next(
            (i for i, name in enumerate(file.parts[:-1]) if name.lower() in IMAGE_FOLDERS), None
        )
        stem = re.sub('(?i)_img$', '', file.stem)
        stems = [f'{str(file.parent).lower()}/{stem}{ending}' for ending in endings]
        if depth is not None:
            rest = Path(*file.parts[depth + 1 : -1])
            parents = [
                str(Path(*file.parts[:depth], maps_folder, rest)).lower()
                for maps_folder in MAP_FOLDERS
            ]
            stems += [f'{parent}/{file.stem}' for parent in parents]
        names = [stem + suffix for stem in stems for suffix in MAP_SUFFIXES]
        found = {by_path[name] for name in names if name in by_path}
        found = found or {by_path[name.lower()] for name in names if name.lower() in by_path}
        if len(found) == 1:
            maps[file] = found.pop()
        elif found or depth is not None:
            several = f'several maps ({shorten([*map(str, sorted(found))])})'
            without[file] = f'{folder / file} has {several if found else "no map"} of its name'
    counts, map_folders = Counter(maps.values()), {file.parent for file in maps.values()}
    problems = [message for file, message in without.items() if file not in counts]
    known = {file.stem.lower() for file in files if file.parent not in map_folders or file in maps}
    others = [
        file for file in sorted({*files} - {*maps, *counts, *without}) if file.parent in map_folders
    ]
    # Beside maps there may be pictures of them, with longer names such as a_color.
    starts = [(file, accumulate(file.stem.lower().split('_'), '{}_{}'.format)) for file in others]
    others = [file for file, names in starts if known.isdisjoint(names)]
    problems += [
        f'{folder / file} is a map without an image, or an image without a map' for file in others
    ]
    problems += [
        f'{folder / file} shares its map with another image'
        for file in maps
        if counts[maps[file]] > 1
    ]
    return {file: map_file for file, map_file in maps.items() if counts[map_file] == 1}, problems


def read_labels(image: Path, map_file: Path) -> set[int]:
    """Return the labels in a semantic map.

    Raise a UserError if it is unreadable, unlabelled or of another size.
    """
    found = set(np.unique(read_map(map_file, image)).tolist())
    if found == {IGNORE_INDEX}:
        raise UserError(f'{map_file} has no labelled pixel: all are {IGNORE_INDEX}')
    return found


def check_labels(folder: Path, labels: set[int], classes: Sequence[str] | None) -> Sequence[str]:
    """Return the class names, by default ``class 0``, ``class 1``, ...

    Raise a UserError if labels do not fit them.
    """
    used, advice = labels - {IGNORE_INDEX}, 'Change the pixels, or the classes in classes.txt'
    highest, has_gaps = max(used, default=0), False
    if classes is None:
        classes = [f'class {index}' for index in range(highest + 1)]
        has_gaps = len(used | {0}) < len(classes)
    if 0 < highest < len(classes) and not has_gaps:
        return classes
    values = shorten([*map(str, sorted(labels))], 8)
    if has_gaps:
        advice = 'If the values are right, name all classes in classes.txt, one on each line'
    if labels == {0, 255}:
        code = 'PIL.Image.open(file).point(lambda value: value // 255).save(new_file)'
        advice = f'To replace 255 by 1 in a file, run in Python: {code}'
    expected = 'Expected 0 for the first class, 1 for the second, and so on, and 255 for none'
    problem = (
        f'the segmentation maps have the values {values}, and the classes are {shorten(classes, 8)}'
    )
    raise UserError(f'{folder}: {problem}. {expected}. {advice}')


def read_class_folders(folder: Path, files: Sequence[Path]) -> DatasetInfo | None:
    """Read class folders in ``folder``, or in its folders of splits such as train.

    Return None if there are none.
    """
    top_names = {file.parts[0] for file in files if len(file.parts) > 1}
    nested_in = {file.parts[0] for file in files if len(file.parts) > 2}
    split_names = {name for name in top_names if SPLIT_NAME.fullmatch(name.lower())}
    # Class folders are in folders of splits, or all are of train.
    split_folders = (
        {name: find_split(Path(name)) for name in split_names} if split_names & nested_in else {}
    )
    depth = 1 if split_folders else 0
    splits: ClassFolders = defaultdict(lambda: defaultdict(list))
    stray = []
    for file in files:
        split = split_folders.get(file.parts[0]) if depth else 'train'
        if split is None or len(file.parts) < 2 + depth:
            stray.append(file)
        else:
            splits[split][file.parts[depth]].append(str(file))
    names = tuple(sorted(splits['train']))
    # If a folder is named like one of images or maps, this is an incomplete dataset of another
    # format. Test images without classes do not count.
    num_stray = sum(split_folders.get(file.parts[0]) != 'test' for file in stray)
    is_other = not KNOWN_FOLDERS.isdisjoint(name.lower() for name in names)
    if len(names) < 2 or is_other or num_stray > len(files) / 2:
        return None
    check_class_folders(folder, split_folders, splits)
    notes = (
        [f'images outside of class folders are left out: {shorten([*map(str, stray)])}']
        if stray
        else []
    )
    nested = sorted({str(file.parent) for file in files if len(file.parts) > 2 + depth})
    notes += [f'folders in class folders are not classes: {shorten(nested)}'] if nested else []
    tops = [folder / name for name in split_folders or ['']]
    others = [path for top in tops for path in sorted(top.iterdir()) if path.name not in names]
    empty = [
        str(path)
        for path in others
        if path.is_dir() and not (path.is_symlink() or path.name[0] in '._@')
    ]
    notes += (
        [f'folders without images of the dataset are not classes: {shorten(empty)}']
        if empty
        else []
    )
    root, labels = folder.resolve(), {name: str(label) for label, name in enumerate(names)}
    images = {
        split: [(file, labels[name]) for name in names for file in splits[split][name]]
        for split in splits
    }
    by_name = {split: Split(root, content) for split, content in images.items()}
    return DatasetInfo(folder, 'class folders', ('classes',), names, by_name, notes)


def check_class_folders(folder: Path, split_folders: dict[str, str], splits: ClassFolders) -> None:
    """Raise a UserError if folders may be classes or not, or a split has classes that train lacks."""
    if split_folders:
        counts = Counter(split_folders.values())
        ambiguous = {name for name, split in split_folders.items() if counts[split] > 1}
    else:
        # Names such as data_train and data_test.
        named = {name: split for name in splits['train'] if (split := find_split(Path(name)))}
        are_many = len({*named.values()}) > 1
        ambiguous = {name for name in named if are_many or SPLIT_NAME.fullmatch(name.lower())}
    names, depth, found = sorted(splits['train']), 2 if split_folders else 1, defaultdict(set)
    images = [
        (name, Path(file).parts[depth:-1])
        for s in splits.values()
        for name in s
        for file in s[name]
    ]
    for class_name, parts in images:
        for part in parts:
            found[part.lower()].add(class_name)
    # Folders in class folders may be splits or, if most images are in them, classes; but not a
    # single one, like images.
    is_deep = len(found) > 1 and sum(bool(parts) for _, parts in images) > len(images) / 2
    are_splits = {part for part in found if depth == 1 and SPLIT_NAME.fullmatch(part)}
    shared = sorted(are_splits.union(part for part in found if is_deep and len(found[part]) > 1))
    if ambiguous or shared:
        what = f'{shorten(names)} classes, or {shorten(shared)}, which are in them'
        if ambiguous:
            what = f'{shorten(sorted(ambiguous), 4)} classes or splits'
        advice = "Put the images as in train/cat/1.jpg, with one folder each for 'train', 'val' and 'test'"
        raise UserError(f'{folder}: are the folders {what}? {advice}')
    for split, classes in splits.items():
        if others := shorten(sorted(classes.keys() - {*names})):
            problem = f'{split} has the class folders {others}, but train has only {shorten(names)}'
            raise UserError(
                f'{folder}: {problem}. Add the class folders to train, or remove them from {split}'
            )
