"""YOLO's layout: ``data.yaml``, and for each image a text file with a line for each object, read as COCO's format."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ...errors import UserError, first_line, shorten
from ...files import IMAGE_ENDINGS, text_of
from ..headers import stored_and_upright_size
from .parts import Found, content_of, files_below, named_from, part_of

LINE = 'expected CLASS X Y WIDTH HEIGHT, or CLASS X1 Y1 X2 Y2 X3 Y3 ... of an outline'
# Rounded numbers reach over the edge by less.
SLACK = 0.01
BOX, SHORTEST_OUTLINE = 4, 6


def read_yolo(folder: Path, settings_file: Path) -> Found:
    """The data that a ``data.yaml`` describes."""
    settings = settings_in(settings_file)
    names = names_in(settings, settings_file)
    path = Path(str(settings.get('path') or ''))
    # The path is often one of another machine, and everything beside the file.
    roots = (settings_file.parent / path, folder.parent / path, settings_file.parent)
    root = next(each for each in roots if each.is_dir())
    parts, notes = {}, []
    for part, key in (('train', 'train'), ('val', 'val'), ('val', 'valid'), ('test', 'test')):
        if settings.get(key) and part not in parts:
            try:
                parts[part] = images_of(root, settings[key], f'{settings_file}: {key}')
            except UserError as error:
                # Tools name folders that they don't write.
                if part == 'train':
                    raise
                notes.append(f'{error}: done without')
    if 'train' not in parts:
        raise UserError(f'{settings_file} names no training images; expected train: images/train, or another folder')
    return of_images(folder, f'YOLO ({settings_file.name})', parts, names, notes, 'kpt_shape' in settings)


def of_images(
    folder: Path,
    layout: str,
    images: dict[str, list[Path]],
    names: Sequence[str],
    notes: Sequence[str] = (),
    points: bool = False,
) -> Found:
    """The data of images whose label files lie where YOLO looks for them; of lines with key points the box is read."""
    parts, notes = {}, [*notes, *['of key points only the boxes are taken'] * points]

    def described(path: Path) -> tuple[Path, tuple[int, int], list[tuple[int, dict[str, Any]]]]:
        (_, size), file = stored_and_upright_size(path), labels_of(path)
        objects = objects_in(file, names, points) if file.is_file() else []
        return path, size, [(label, {'iscrowd': 0, **in_pixels(values, *size)}) for label, values in objects]

    for part, paths in images.items():
        content = content_of(names, map(described, paths))
        labelled = sum(labels_of(path).is_file() for path in paths)
        if not labelled and part == 'test':
            notes.append(f'test: none of the {len(paths)} images has a label file: done without')
            continue
        if paths and not labelled:
            raise UserError(
                f'{paths[0]} and {len(paths) - 1} other images have no label files: expected {labels_of(paths[0])}'
            )
        if labelled < len(paths):
            passed = ', which training passes over' if part == 'train' else ''
            notes.append(f'{part}: {len(paths) - labelled} images without a label file are without objects{passed}')
        parts[part] = named_from(folder.resolve(), content)
    return Found(folder, layout, ('boxes',), tuple(names), parts, notes)


def settings_in(file: Path) -> dict[str, Any]:
    try:
        settings = yaml.safe_load(text_of(file))
    except yaml.YAMLError as error:
        raise UserError(f'{file} is no YAML ({" ".join(str(error).split())})') from None
    return {str(key).lower(): value for key, value in settings.items()} if isinstance(settings, dict) else {}


def names_in(settings: dict[str, Any], file: Path) -> list[str]:
    """The names of the classes; numbers as names where only their number is given."""
    names, count = settings.get('names'), settings.get('nc')
    if names is None and isinstance(count, int):
        names = [f'class {number}' for number in range(count)]
    if isinstance(names, dict):
        # Some tools write numbers in quotes.
        by_number = {str(key): name for key, name in names.items()}
        numbers = [*map(str, range(len(names)))]
        if by_number.keys() != {*numbers}:
            raise UserError(f'{file}: names has the keys {shorten([*map(str, names)])}; expected 0 to {len(names) - 1}')
        names = [by_number[number] for number in numbers]
    if not isinstance(names, list) or not names:
        raise UserError(f'{file} names no classes; expected names: [cat, dog], or a line for each as 0: cat')
    if isinstance(count, int) and count != len(names):
        raise UserError(f'{file}: nc is {count}, but names has {len(names)}; make them alike')
    unnamed = [name for name in names if isinstance(name, bool) or not isinstance(name, (str, int, float))]
    if unnamed:
        raise UserError(f'{file}: names has {unnamed[0]}, as YAML reads yes, no and null; put such names in quotes')
    return distinct([str(name) for name in names], file)


def distinct(names: list[str], file: Path) -> list[str]:
    """The names of classes, refused where two are alike."""
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise UserError(f'{file} names two classes {twice[0]}; give each a name of its own')
    return names


def images_of(root: Path, named: Any, place: str) -> list[Path]:
    """The images of a part: all in a folder, those that a list names, or of several of these."""
    found = []
    for name in named if isinstance(named, list) else [named]:
        path = place_of(root, str(name))
        if not path.exists():
            raise UserError(f'{place} is {name}, but there is no {path}')
        if path.is_dir():
            found += [path / each for each in files_below(path) if each.suffix.lower() in IMAGE_ENDINGS]
        elif path.suffix.lower() in IMAGE_ENDINGS:
            found.append(path)
        else:
            found += [place_of(path.parent, line.strip()) for line in text_of(path).splitlines() if line.strip()]
    found = [*dict.fromkeys(found)]
    if not found:
        raise UserError(f'{place} is {named}, in which there are no images')
    missing = [str(path) for path in found if not path.is_file()]
    if missing:
        raise UserError(f'{place} names images that are not there: {shorten(missing)}')
    return found


def place_of(root: Path, name: str) -> Path:
    """Where a name leads, which may go on from another folder; where nothing is there, the first place looked in.

    Roboflow writes ``../train/images`` of what lies beside the file, others begin with folders of their own machines:
    such are left out, but none that says for which part the images are.
    """
    path = Path(os.path.normpath(name.replace('\\', '/')))
    inner = [part for part in path.parts if part not in ('..', path.anchor)]
    ends = [Path(*inner[start:]) for start in range(len(inner))]
    places = [root / end for end in ends if part_of(end) == part_of(path)]
    places.insert(0 if path.is_absolute() else 1, root / path)
    return next((each for each in places if each.exists()), places[0])


def labels_of(image: Path) -> Path:
    """Where the label file of an image is: in ``labels`` instead of the last ``images`` of its path, or beside it."""
    places, folders = [], [part.lower() for part in image.parts[:-1]]
    if 'images' in folders:
        last = len(folders) - 1 - folders[::-1].index('images')
        places = [Path(*image.parts[:last], each, *image.parts[last + 1 :]) for each in ('labels', 'Labels', 'LABELS')]
    places = [each.with_suffix('.txt') for each in (*places, image)]
    return next((each for each in places if each.is_file()), places[0])


def objects_in(file: Path, names: Sequence[str], points: bool) -> list[tuple[int, list[float]]]:
    """The class and the numbers of each object: a box's middle and size, or an outline's corners, from 0 to 1."""
    objects = []
    for number, line in enumerate(text_of(file).splitlines(), start=1):
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
