"""YOLO's layout: ``data.yaml``, and for each image a text file with a line for each object, read as COCO's format."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ...errors import UserError, first_line, shorten
from ...files import IMAGE_ENDINGS
from ..classes import coco_categories
from ..headers import upright_size
from .parts import Found, files_below, named_from

LINE = 'expected CLASS X Y WIDTH HEIGHT, or CLASS X1 Y1 X2 Y2 X3 Y3 ... of an outline'
# Rounded numbers reach over the edge by less.
SLACK = 0.01
BOX, SHORTEST_OUTLINE = 4, 6


def read_yolo(folder: Path, settings_file: Path) -> Found:
    """The data that a ``data.yaml`` describes."""
    settings = settings_in(settings_file)
    names = names_in(settings, settings_file)
    root = Path(settings.get('path') or '')
    root = next((each for each in (settings_file.parent / root, folder.parent / root) if each.is_dir()), None)
    if root is None:
        raise UserError(
            f"{settings_file}: path {settings['path']} is no folder; leave it out, or name the images' folder"
        )
    parts = {}
    for part, key in (('train', 'train'), ('val', 'val'), ('val', 'valid'), ('test', 'test')):
        if settings.get(key) and part not in parts:
            parts[part] = images_of(root, settings[key], f'{settings_file}: {key}')
    if 'train' not in parts:
        raise UserError(f'{settings_file} names no training images; expected train: images/train, or another folder')
    return of_images(folder, f'YOLO ({settings_file.name})', parts, names, 'kpt_shape' in settings)


def of_images(folder: Path, layout: str, images: dict[str, list[Path]], names: Sequence[str], points: bool) -> Found:
    """The data of images whose label files lie where YOLO looks for them; of lines with key points the box is read."""
    contents, notes = {}, ['of key points only the boxes are taken'] * points
    for part, paths in images.items():
        content = {'images': [], 'annotations': [], 'categories': coco_categories(names)}
        labelled = 0
        for number, path in enumerate(paths, start=1):
            width, height = upright_size(path)
            content['images'].append({'id': number, 'file_name': str(path), 'width': width, 'height': height})
            file = labels_of(path)
            if not file.is_file():
                continue
            labelled += 1
            for name, values in objects_in(file, names, points):
                content['annotations'].append(
                    {
                        'id': len(content['annotations']) + 1,
                        'image_id': number,
                        'category_id': content['categories'][name]['id'],
                        'iscrowd': 0,
                        **in_pixels(values, width, height),
                    }
                )
        if paths and not labelled:
            raise UserError(
                f'{paths[0]} and {len(paths) - 1} other images have no label files: expected {labels_of(paths[0])}'
            )
        if labelled < len(paths):
            notes.append(f'{part}: {len(paths) - labelled} images without a label file are taken as without objects')
        contents[part] = content
    parts = {name: named_from(folder.resolve(), content) for name, content in contents.items()}
    return Found(folder, layout, ('boxes',), tuple(names), parts, notes)


def settings_in(file: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(file.read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f'{file} is no YAML ({" ".join(str(error).split())})') from None
    return settings if isinstance(settings, dict) else {}


def names_in(settings: dict[str, Any], file: Path) -> list[str]:
    """The names of the classes; numbers as names where only their number is given."""
    names, count = settings.get('names'), settings.get('nc')
    if names is None and isinstance(count, int):
        names = [f'class {number}' for number in range(count)]
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise UserError(f'{file}: names has the keys {shorten([*map(str, names)])}; expected 0 to {len(names) - 1}')
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise UserError(f'{file} names no classes; expected names: [cat, dog], or a line for each as 0: cat')
    if isinstance(count, int) and count != len(names):
        raise UserError(f'{file}: nc is {count}, but names has {len(names)}; make them alike')
    return [str(name) for name in names]


def images_of(root: Path, named: Any, place: str) -> list[Path]:
    """The images of a part: all in a folder, those that a list names, or of several of these."""
    found = []
    for name in named if isinstance(named, list) else [named]:
        # Roboflow writes ../train/images of what lies beside the file.
        places = [root / str(name), root / str(name).removeprefix('../')]
        path = next((each for each in places if each.exists()), None)
        if path is None:
            raise UserError(f'{place} is {name}, but there is no {places[0]}')
        if path.is_dir():
            found += [path / each for each in files_below(path) if each.suffix.lower() in IMAGE_ENDINGS]
        else:
            lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
            found += [path.parent / line.strip() for line in lines if line.strip()]
    found = [*dict.fromkeys(found)]
    if not found:
        raise UserError(f'{place} is {named}, in which there are no images')
    missing = [str(path) for path in found if not path.is_file()]
    if missing:
        raise UserError(f'{place} names images that are not there: {shorten(missing)}')
    return found


def labels_of(image: Path) -> Path:
    """Where the label file of an image is: in ``labels`` instead of the last ``images`` of its path, or beside it."""
    parts = [*image.parts]
    if 'images' in parts[:-1]:
        parts[len(parts) - 1 - parts[::-1].index('images')] = 'labels'
    return Path(*parts).with_suffix('.txt')


def objects_in(file: Path, names: Sequence[str], points: bool) -> list[tuple[int, list[float]]]:
    """The class and the numbers of each object: a box's middle and size, or an outline's corners, from 0 to 1."""
    objects = []
    for number, line in enumerate(file.read_text(encoding='utf-8', errors='replace').splitlines(), start=1):
        if not line.strip():
            continue
        place = f'{file} line {number}'
        try:
            values = [float(word) for word in line.split()]
        except ValueError as error:
            raise UserError(f'{place}: {first_line(error)}; {LINE}') from None
        label, values = values[0], values[1 : 1 + BOX] if points else values[1:]
        if len(values) != BOX and (len(values) < SHORTEST_OUTLINE or len(values) % 2):
            raise UserError(f'{place} has {1 + len(values)} numbers; {LINE}')
        if label not in range(len(names)):
            raise UserError(f'{place}: class {label:g}, but names has {len(names)}, 0 to {len(names) - 1}')
        outside = [value for value in values if not -SLACK <= value <= 1 + SLACK]
        if outside:
            raise UserError(
                f'{place}: {outside[0]:g} is not from 0 to 1; expected parts of width and height, not pixels'
            )
        objects.append((int(label), values))
    return objects


def in_pixels(values: list[float], width: int, height: int) -> dict[str, Any]:
    """Box, area, and with an outline the mask of an object, as COCO's format has them."""
    points = np.reshape(values, (-1, 2)).clip(0, 1) * (width, height)
    if len(values) == BOX:
        (start, extent) = points[0] - points[1] / 2, points[1]
        mask, area = {}, extent.prod()
    else:
        start, extent = points.min(0), np.ptp(points, axis=0)
        x, y = points.T
        mask, area = (
            {'segmentation': [points.round(2).ravel().tolist()]},
            abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2,
        )
    return {'bbox': np.concatenate([start, extent]).round(2).tolist(), 'area': round(float(area), 2), **mask}
