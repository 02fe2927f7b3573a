"""Read YOLO annotations (``data.yaml`` and a text file for each image) as COCO annotations.

The package supervision reads this format too, but it converts every polygon to a mask. For 100 images of 1280 x 960
with 11 polygons each, the masks take 1.35 GB, and the process 2.6 GB at its peak. It writes masks with holes or several
parts to COCO's format as crowds (``iscrowd``), on which mmdet does not train.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ...errors import UserError, format_count, shorten
from ...files import IMAGE_SUFFIXES, read_text
from ..headers import read_sizes
from .dataset_info import AnnotatedImage, DatasetInfo, list_files, make_split

# Coordinates may be outside of the range from 0 to 1 by this much, because tools round them.
TOLERANCE = 0.01
# The number of values in a box, and in a polygon with the fewest corners.
NUM_BOX_VALUES, MIN_POLYGON_VALUES = 4, 6


def read_yolo(folder: Path, yaml_file: Path) -> DatasetInfo:
    """Read the dataset that ``data.yaml`` describes."""
    try:
        settings = yaml.safe_load(read_text(yaml_file))
    except yaml.YAMLError as error:
        raise UserError(f'{yaml_file} is not valid YAML ({" ".join(str(error).split())})') from None
    if not isinstance(settings, dict) or not settings.get('train'):
        raise UserError(f'{yaml_file} names no folder of training images. Add one, for example "train: images/train"')
    names = read_names(settings, yaml_file)
    # `path` is often a folder of another machine. Then the images are next to data.yaml.
    root = yaml_file.parent / str(settings.get('path') or '')
    root = root if root.is_dir() else yaml_file.parent
    splits, notes, problems = {}, [], []
    for split in ('train', 'val', 'test'):
        try:
            splits |= {split: list_images(root, settings[split], yaml_file)} if settings.get(split) else {}
        except UserError as error:
            # Labelling tools name folders for val and test in data.yaml even if they write none.
            if split == 'train':
                raise
            notes.append(f'{split} is left out: {error}')

    def read_image(path: Path) -> AnnotatedImage:
        (_, size), file = read_sizes(path), find_label_file(path)
        objects = read_labels(file, names, problems) if file.is_file() else []
        return path, size, [(label, {'iscrowd': 0, **make_coco_entries(values, *size)}) for label, values in objects]

    read_splits = {}
    for split, paths in splits.items():
        num_unlabelled = sum(not find_label_file(path).is_file() for path in paths)
        if num_unlabelled == len(paths) and split != 'test':
            raise UserError(
                f'{yaml_file}: no image of {split} has a label file. Expected for example {find_label_file(paths[0])}'
            )
        if num_unlabelled:
            notes.append(f'{split}: {format_count(num_unlabelled, "image")} without a label file, thus without objects')
        read_splits[split] = make_split(folder, names, paths, read_image, problems)
    problems += find_labels_without_image([path for paths in splits.values() for path in paths])
    format_name = f'YOLO ({yaml_file.name})'
    return DatasetInfo(folder, format_name, ('boxes',), tuple(names), read_splits, notes, problems=problems)


def read_names(settings: dict[str, Any], file: Path) -> list[str]:
    """Return the class names as a list. In data.yaml, ``names`` is a list, or a dict with class indices as keys."""
    setting = names = settings.get('names')
    if isinstance(names, dict):
        names = [names.get(index) for index in range(len(names))]
    names = names if isinstance(names, list) else []
    # YAML parses yes and no as booleans.
    are_names = all(isinstance(name, (str, int, float)) and not isinstance(name, bool) for name in names)
    problem = f"{file}: 'names' is {str(setting)[:60]}"
    if not names or not are_names or len({*names}) != len(names):
        hint = '' if not names or are_names else '. Put a name such as yes, no or null in quotes'
        raise UserError(
            f'{problem}. Expected a list of names without repetitions, for example "names: [cat, dog]"{hint}'
        )
    num_classes = settings.get('nc', len(names))
    if num_classes != len(names):
        raise UserError(
            f"{problem}, and 'nc' is {num_classes}. 'nc' must be the number of names, here {len(names)}. Change 'nc' "
            "or 'names'"
        )
    return [*map(str, names)]


def list_images(root: Path, sources: Any, yaml_file: Path) -> list[Path]:
    """Return the images of a split. ``sources`` are folders, or text files with the path of an image on each line."""
    images = []
    for name in sources if isinstance(sources, list) else [sources]:
        path = find_path(root, str(name))
        if path.is_dir():
            images += [path / file for file in list_files(path) if file.suffix.lower() in IMAGE_SUFFIXES]
        elif path.is_file():
            images += [find_path(path.parent, line.strip()) for line in read_text(path).splitlines() if line.strip()]
    if not any(path.is_file() for path in images):
        named = sources if isinstance(sources, list) else [sources]
        absent = [str(name) for name in named if not find_path(root, str(name)).exists()]
        problem = 'which contains no images'
        if absent:
            problem = f'which does not exist in {root}'
        elif images:
            problem = f'which lists images that do not exist ({shorten([*map(str, images)])})'
        raise UserError(
            f'{yaml_file} names {shorten(absent or [*map(str, named)])}, {problem}. Change {yaml_file}, or add the '
            'images'
        )
    return images


def find_path(root: Path, name: str) -> Path:
    """Return the path of ``name``, which is relative to ``root``.

    Try the path without ``..`` first, because Roboflow writes ../train/images for train/images.
    """
    path = Path(name.replace('\\', '/'))
    below_root = Path(root, *(part for part in path.parts if part != '..'))
    return below_root if below_root.exists() else root / path


def find_label_file(image: Path) -> Path:
    """Return an image's label file: ``labels/x/a.txt`` for ``images/x/a.jpg``, or ``a.txt`` next to the image."""
    candidates, folders = [image], image.parts[:-1]
    if 'images' in folders:
        last = len(folders) - 1 - folders[::-1].index('images')
        candidates.insert(0, Path(*image.parts[:last], 'labels', *image.parts[last + 1 :]))
    candidates = [path.with_suffix('.txt') for path in candidates]
    return next((path for path in candidates if path.is_file()), candidates[0])


def find_labels_without_image(images: Sequence[Path]) -> list[str]:
    """Return a message for each file in the label folders that has no image."""
    label_files = {find_label_file(image) for image in images}
    # Folders that have images too may contain text files of other kinds, so they are not searched.
    folders = {file.parent for file in label_files if file.parent.is_dir()} - {image.parent for image in images}
    others = sorted(file for folder in folders for file in folder.glob('*.txt') if file not in label_files)
    return [f'{file} has no image' for file in others if file.name != 'classes.txt']


def read_labels(file: Path, names: Sequence[str], problems: list[str]) -> list[tuple[int, list[float]]]:
    """Return (label, values) of each object in a label file.

    The values are fractions of the image size: a box [centre x, centre y, width, height] or a polygon
    [x1, y1, x2, y2, ...]. Other lines are left out, and a message in ``problems`` names each.
    """
    objects = []
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            label, *values = map(float, line.split())
        except ValueError:
            label, values = -1, []
        is_shape = len(values) == NUM_BOX_VALUES or (len(values) >= MIN_POLYGON_VALUES and len(values) % 2 == 0)
        is_inside = bool(values) and -TOLERANCE <= min(values) <= max(values) <= 1 + TOLERANCE
        if not is_shape or label not in range(len(names)) or not is_inside:
            problems.append(
                f'{file} line {number} is {line[:60]!r}. Expected CLASS X Y WIDTH HEIGHT, or CLASS X1 Y1 X2 Y2 X3 Y3 '
                f'... for a polygon: a class from 0 to {len(names) - 1}, and fractions of width and height, not pixels'
            )
            continue
        objects.append((int(label), values))
    return objects


def make_coco_entries(values: list[float], width: int, height: int) -> dict[str, Any]:
    """Convert the values of a box or polygon to COCO's ``bbox``, ``area`` and, for a polygon, ``segmentation``."""
    points = np.reshape(values, (-1, 2)).clip(0, 1) * (width, height)
    if len(values) == NUM_BOX_VALUES:
        top_left, extent = points[0] - points[1] / 2, points[1]
        entries, area = {}, extent.prod()
    else:
        top_left, extent = points.min(0), np.ptp(points, axis=0)
        x, y = points.T
        entries = {'segmentation': [points.round(2).ravel().tolist()]}
        area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    return {'bbox': np.concatenate([top_left, extent]).round(2).tolist(), 'area': round(float(area), 2), **entries}
