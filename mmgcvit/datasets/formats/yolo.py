"""Read YOLO annotations, ``data.yaml`` and a text file for each image with a line for each object, as COCO annotations.

supervision reads this format too, but makes a pixel mask of every outline, 2.6 GB for 100 images of 1280 x 960 with 11
outlines each, and writes outlines that fall apart into pixels as crowds, which are not trained on (329 of 1,100).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ...errors import UserError, format_count, shorten
from ...files import IMAGE_SUFFIXES, read_text
from ..headers import read_sizes
from .dataset_info import Annotated, DatasetInfo, list_files, make_split

SLACK = 0.01
BOX, SHORTEST_OUTLINE = 4, 6


def read_yolo(folder: Path, yaml_file: Path) -> DatasetInfo:
    """Read the data that a ``data.yaml`` describes."""
    try:
        settings = yaml.safe_load(read_text(yaml_file))
    except yaml.YAMLError as error:
        raise UserError(f'{yaml_file} is not valid YAML ({" ".join(str(error).split())})') from None
    if not isinstance(settings, dict) or not settings.get('train'):
        raise UserError(f'{yaml_file} names no training images; expected train: images/train, or another folder')
    names = read_names(settings, yaml_file)
    # "path" is often a folder of another machine; the images then lie beside the file.
    root = yaml_file.parent / str(settings.get('path') or '')
    root = root if root.is_dir() else yaml_file.parent
    splits, notes = {}, []
    for split in ('train', 'val', 'test'):
        try:
            splits |= {split: list_images(root, settings[split], yaml_file)} if settings.get(split) else {}
        except UserError as error:
            # Tools name folders that they do not write.
            if split == 'train':
                raise
            notes.append(f'{error}: left out')

    def read_image(path: Path) -> Annotated:
        (_, size), file = read_sizes(path), find_label_file(path)
        objects = read_labels(file, names) if file.is_file() else []
        return path, size, [(label, {'iscrowd': 0, **to_pixels(values, *size)}) for label, values in objects]

    found = {}
    for split, paths in splits.items():
        without = sum(not find_label_file(path).is_file() for path in paths)
        if without == len(paths) and split != 'test':
            raise UserError(f'{yaml_file}: no image of {split} has a label file; expected {find_label_file(paths[0])}')
        if without:
            notes.append(f'{split}: {format_count(without, "image")} without a label file: no objects')
        found[split] = make_split(folder, names, map(read_image, paths))
    return DatasetInfo(folder, f'YOLO ({yaml_file.name})', ('boxes',), tuple(names), found, notes)


def read_names(settings: dict[str, Any], file: Path) -> list[str]:
    """The names of the classes, from a list, or from a dict of numbers."""
    given = names = settings.get('names')
    if isinstance(names, dict):
        names = [names.get(number) for number in range(len(names))]
    names = names if isinstance(names, list) else []
    # YAML reads yes and no as booleans.
    are_names = all(isinstance(name, (str, int, float)) and not isinstance(name, bool) for name in names)
    if not names or not are_names or not len({*names}) == len(names) == settings.get('nc', len(names)):
        raise UserError(
            f'{file}: names is {str(given)[:60]}, nc is {settings.get("nc")}; expected as many different names as nc, '
            'in a list or numbered from 0, for example names: [cat, dog]; yes, no and null in quotes'
        )
    return [*map(str, names)]


def list_images(root: Path, named: Any, yaml_file: Path) -> list[Path]:
    """The images of a split: those in folders, or in text files with a path on each line."""
    images = []
    for name in named if isinstance(named, list) else [named]:
        path = find_path(root, str(name))
        if path.is_dir():
            images += [path / each for each in list_files(path) if each.suffix.lower() in IMAGE_SUFFIXES]
        elif path.is_file():
            images += [find_path(path.parent, line.strip()) for line in read_text(path).splitlines() if line.strip()]
    missing = [str(path) for path in images if not path.is_file()]
    if missing or not images:
        raise UserError(f'{yaml_file}: the images {shorten(missing) or named} are not in {root}')
    return images


def find_path(root: Path, name: str) -> Path:
    """The file or folder of a name. Roboflow writes ``../train/images`` for a folder beside the file."""
    path = Path(name.replace('\\', '/'))
    beside = Path(root, *(part for part in path.parts if part != '..'))
    return beside if beside.exists() else root / path


def find_label_file(image: Path) -> Path:
    """An image's label file: in ``labels`` instead of the last ``images`` of its path, or beside it."""
    places, folders = [image], image.parts[:-1]
    if 'images' in folders:
        last = len(folders) - 1 - folders[::-1].index('images')
        places.insert(0, Path(*image.parts[:last], 'labels', *image.parts[last + 1 :]))
    places = [each.with_suffix('.txt') for each in places]
    return next((each for each in places if each.is_file()), places[0])


def read_labels(file: Path, names: Sequence[str]) -> list[tuple[int, list[float]]]:
    """Class and numbers of each object: centre and size of a box, or corners of an outline, from 0 to 1."""
    objects = []
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            label, *values = map(float, line.split())
        except ValueError:
            label, values = -1, []
        is_shape = len(values) == BOX or (len(values) >= SHORTEST_OUTLINE and len(values) % 2 == 0)
        # Rounded coordinates reach over the edge a little.
        if not is_shape or label not in range(len(names)) or not -SLACK <= min(values) <= max(values) <= 1 + SLACK:
            raise UserError(
                f'{file} line {number} is {line[:60]!r}; expected CLASS X Y WIDTH HEIGHT, or CLASS X1 Y1 X2 Y2 X3 Y3 '
                f'... of an outline: a class from 0 to {len(names) - 1}, and fractions of width and height, not pixels'
            )
        objects.append((int(label), values))
    return objects


def to_pixels(values: list[float], width: int, height: int) -> dict[str, Any]:
    """The bbox, area and segmentation of an object in COCO's format."""
    points = np.reshape(values, (-1, 2)).clip(0, 1) * (width, height)
    if len(values) == BOX:
        start, extent = points[0] - points[1] / 2, points[1]
        entries, area = {}, extent.prod()
    else:
        start, extent = points.min(0), np.ptp(points, axis=0)
        x, y = points.T
        entries = {'segmentation': [points.round(2).ravel().tolist()]}
        area = abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
    return {'bbox': np.concatenate([start, extent]).round(2).tolist(), 'area': round(float(area), 2), **entries}
