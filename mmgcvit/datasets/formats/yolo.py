"""Read YOLO annotations, ``data.yaml`` and a text file for each image with a line for each object, as COCO annotations.

supervision reads this format too. It makes a pixel mask of every outline and keeps all of them in memory: 2.6 GB and
21 s for 100 images of 1280 x 960 with 11 outlines each; 0 MB and 0.1 s here. It writes outlines that fall apart into
pixels as crowds, which are not trained on (329 of 1,100), and accepts coordinates in pixels.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from ...errors import UserError, counted, first_line, shorten
from ...files import IMAGE_ENDINGS, text_of
from ..headers import stored_and_upright_size
from .dataset_info import Annotated, DatasetInfo, find_split, list_files, make_split

LINE = 'expected CLASS X Y WIDTH HEIGHT, or CLASS X1 Y1 X2 Y2 X3 Y3 ... of an outline'
# Rounded coordinates reach over the edge by less.
SLACK = 0.01
BOX, SHORTEST_OUTLINE = 4, 6


def read_yolo(folder: Path, yaml_file: Path) -> DatasetInfo:
    """The data that a ``data.yaml`` describes."""
    settings = read_yaml(yaml_file)
    names = read_names(settings, yaml_file)
    # "path" is often a folder of another machine; the images then lie beside the file.
    root = yaml_file.parent / str(settings.get('path') or '')
    root = root if root.is_dir() else yaml_file.parent
    splits, notes = {}, []
    for split in ('train', 'val', 'test'):
        if settings.get(split):
            try:
                splits[split] = list_images(root, settings[split], f'{yaml_file}: {split}')
            except UserError as error:
                # Tools name folders that they do not write.
                if split == 'train':
                    raise
                notes.append(f'{error}: left out')
    if 'train' not in splits:
        raise UserError(f'{yaml_file} names no training images; expected train: images/train, or another folder')

    def read_image(path: Path) -> Annotated:
        (_, size), file = stored_and_upright_size(path), find_label_file(path)
        objects = read_labels(file, names) if file.is_file() else []
        return path, size, [(label, {'iscrowd': 0, **to_pixels(values, *size)}) for label, values in objects]

    found = {}
    for split, paths in splits.items():
        without = sum(not find_label_file(path).is_file() for path in paths)
        if without == len(paths) and split != 'test':
            expected = f'none of {counted(len(paths), "image")} has a label file; expected {find_label_file(paths[0])}'
            raise UserError(f'{yaml_file}: {split}: {expected}')
        if without:
            notes.append(f'{split}: {counted(without, "image")} without a label file: no objects')
        found[split] = make_split(folder, names, map(read_image, paths))
    return DatasetInfo(folder, f'YOLO ({yaml_file.name})', ('boxes',), tuple(names), found, notes)


def read_yaml(file: Path) -> dict[str, Any]:
    """The settings of a YAML file; empty where it holds something else."""
    try:
        settings = yaml.safe_load(text_of(file))
    except yaml.YAMLError as error:
        raise UserError(f'{file} is not valid YAML ({" ".join(str(error).split())})') from None
    return settings if isinstance(settings, dict) else {}


def read_names(settings: dict[str, Any], file: Path) -> list[str]:
    """The names of the classes, from a list, or from a dict of numbers."""
    names, count = settings.get('names'), settings.get('nc')
    if isinstance(names, dict):
        if {*names} != {*range(len(names))}:
            raise UserError(f'{file}: names has the keys {shorten([*map(str, names)])}; expected 0 to {len(names) - 1}')
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise UserError(f'{file} names no classes; expected names: [cat, dog], or a line for each as 0: cat')
    if isinstance(count, int) and count != len(names):
        raise UserError(f'{file}: nc is {count}, but names has {len(names)}; make them alike')
    if len({*names}) < len(names):
        raise UserError(f'{file}: two classes have the same name ({shorten([*map(str, names)])}); rename one')
    if any(isinstance(name, bool) or name is None for name in names):
        raise UserError(f'{file}: names has yes, no or null, which YAML does not read as text; put them in quotes')
    return [*map(str, names)]


def list_images(root: Path, named: Any, where: str) -> list[Path]:
    """The images of a split: those in folders, or in text files with a path on each line."""
    images = []
    for name in named if isinstance(named, list) else [named]:
        path = find_path(root, str(name))
        if not path.exists():
            raise UserError(f'{where} is {name}, but there is no {path}')
        if path.is_dir():
            images += [path / each for each in list_files(path) if each.suffix.lower() in IMAGE_ENDINGS]
        else:
            images += [find_path(path.parent, line.strip()) for line in text_of(path).splitlines() if line.strip()]
    missing = [str(path) for path in images if not path.is_file()]
    if missing or not images:
        raise UserError(f'{where} is {named}: ' + (f'{shorten(missing)} is missing' if missing else 'no images there'))
    return images


def find_path(root: Path, name: str) -> Path:
    """The file or folder that a name means: without its first folders where they are another machine's.

    Roboflow writes ``../train/images`` for a folder beside the file. The folder that names the split is never dropped.
    """
    path = PurePosixPath(name.replace('\\', '/'))
    parts = [part for part in path.parts if part not in ('..', '.', '/')]
    ends = [Path(*parts[start:]) for start in range(len(parts))]
    places = [root / end for end in ends if find_split(end) == find_split(Path(*parts))]
    places.insert(0 if path.is_absolute() else len(places), root / path)
    return next((each for each in places if each.exists()), places[0])


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
    for number, line in enumerate(text_of(file).splitlines(), start=1):
        if not line.strip():
            continue
        where = f'{file} line {number}'
        try:
            label, *values = map(float, line.split())
        except ValueError as error:
            raise UserError(f'{where}: {first_line(error)}; {LINE}') from None
        if len(values) != BOX and (len(values) < SHORTEST_OUTLINE or len(values) % 2):
            raise UserError(f'{where} has {1 + len(values)} numbers; {LINE}')
        if label not in range(len(names)):
            raise UserError(f'{where}: class {label:g}, but names has {len(names)}, 0 to {len(names) - 1}')
        outside = [value for value in values if not -SLACK <= value <= 1 + SLACK]
        if outside:
            raise UserError(
                f'{where}: {outside[0]:g} is not from 0 to 1; expected fractions of width and height, not pixels'
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
