"""Read YOLO annotations (``data.yaml`` and a text file for each image) as COCO annotations.

The package supervision converts every polygon to a mask (1.35 GB for 1,100 polygons in 100 images
of 1280 x 960), and writes masks with holes or several parts as crowds, on which mmdet does not
train.
"""

from collections import Counter
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from ...errors import UserError, format_count, shorten
from ...files import IMAGE_SUFFIXES, read_text
from ..decoding import read_sizes
from .dataset_info import AnnotatedImage, DatasetInfo, make_split
from .paths import SPLIT_NAME, list_files
from .plausible import CENTRES, ObjectProblem, measure_area

NUM_BOX_VALUES, MIN_POLYGON_VALUES = 4, 6  # in a box, and in a polygon with the fewest corners
YAML_NULL = ('', '~', 'null', 'Null', 'NULL')  # how YAML writes that a value is missing


def read_yolo(folder: Path, yaml_file: Path) -> DatasetInfo:
    settings = read_yaml(yaml_file)
    if not settings.get('train'):
        raise UserError(
            f'{yaml_file} names no folder of training images. Add one, for example "train: '
            'images/train"'
        )
    if 'kpt_shape' in settings:
        raise UserError(
            f'{yaml_file}: keypoints (kpt_shape) are not supported. Export boxes or polygons'
        )
    names = read_names(settings, yaml_file)
    # `path` is often a folder of another machine. Then the images are next to data.yaml.
    root = yaml_file.parent / str(settings.get('path') or '')
    root = root if root.is_dir() else yaml_file.parent
    images, notes = {}, []
    if not root.resolve().is_relative_to(folder.resolve()):
        notes.append(f"the images are read from {root}, which is the 'path' in {yaml_file}")
    for split in filter(settings.get, ('train', 'val', 'test')):
        try:
            images[split] = list_images(root, settings[split], yaml_file)
        except UserError as error:
            # Labelling tools name folders for val and test in data.yaml even if they write none.
            if split == 'train':
                raise
            notes.append(f'{split} is left out: {error}')
    label_files = {path: find_label_file(path) for paths in images.values() for path in paths}
    # An image may have several paths.
    counts = Counter({path.resolve(): file for path, file in label_files.items()}.values())
    splits, problems = {}, []
    for split, paths in images.items():
        num_unlabelled = sum(not label_files[path].is_file() for path in paths)
        if num_unlabelled == len(paths) and split != 'test':
            example = label_files[paths[0]]
            raise UserError(
                f'{yaml_file}: no image of {split} has a label file. Expected for example {example}'
            )
        if num_unlabelled:
            notes.append(
                f'{split}: {format_count(num_unlabelled, "image")} without a label file, thus '
                'without objects'
            )
        splits[split], found = make_split(
            folder, names, paths, lambda path: read_image(path, len(names), counts)
        )
        problems += found
    problems += find_unused_labels(label_files, len(names))
    name = f'YOLO ({yaml_file.name})'
    return DatasetInfo(folder, name, ('boxes',), tuple(names), splits, notes, problems, CENTRES)


def find_unused_labels(label_files: Mapping[Path, Path], num_classes: int) -> list[str]:
    """Return a message for each file with labels beside the ``label_files`` of images, but without
    an image.
    """
    folders = [*dict.fromkeys((file.parent, image.parent) for image, file in label_files.items())]
    files = [
        (labels, file) for labels, images in folders if images.is_dir() for file in images.iterdir()
    ]
    used = {*label_files.values()}
    stems = {(labels, file.stem) for labels, file in files if file.suffix.lower() in IMAGE_SUFFIXES}
    texts = [
        file for folder in dict(folders) for file in sorted({*folder.glob('*.[tT][xX][tT]')} - used)
    ]
    unused = [
        file
        for file in texts
        if (file.parent, file.stem) not in stems and read_labels(file, num_classes)[0]
    ]
    return [f'{file} has labels, but no image' for file in unused]


def read_image(path: Path, num_classes: int, num_images: Mapping[Path, int]) -> AnnotatedImage:
    """Read an image's size and label file.

    ``num_images`` is the number of images of each label file.
    """
    (_, size), file = read_sizes(path), find_label_file(path)
    if num_images[file] > 1 and file.is_file():
        raise UserError(f'{path} shares {file} with another image. Rename one of them')
    labels, problems = read_labels(file, num_classes) if file.is_file() else ([], [])
    objects = [
        (label, {'iscrowd': 0, **make_coco_entries(values, *size)}) for label, values in labels
    ]
    return AnnotatedImage(path, size, objects, problems)


class YamlLoader(yaml.BaseLoader):
    """Loader that reads all scalars as strings, so that names such as ``no`` and ``010`` stay as
    they are written.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        """Construct a mapping.

        Raise an error if a key occurs twice, of which YAML's loader would drop one.
        """
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            raise yaml.constructor.ConstructorError(
                None, None, 'a key occurs twice', node.start_mark
            )
        return mapping


def read_yaml(file: Path) -> dict[str, Any]:
    """Read a mapping from a YAML file.

    Reject aliases, which can grow without bound when they are used.
    """
    text, depth = read_text(file), 0
    try:
        for event in yaml.parse(text, YamlLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(
                event, yaml.CollectionEndEvent
            )
            if (
                isinstance(event, yaml.AliasEvent) or depth > 20
            ):  # deep nesting takes minutes and stack
                raise ValueError('aliases or deep nesting')
        settings = yaml.load(text, YamlLoader)
    # Scalars that YAML does not allow, such as a number of a character beyond Unicode, raise
    # ValueError.
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f'{file} is not valid YAML ({" ".join(str(error).split())})') from None
    if not isinstance(settings, dict):
        raise UserError(
            f'{file} has no keys. Expected at least "train: images/train" and "names: [cat, dog]"'
        )
    settings = {key: value for key, value in settings.items() if value not in YAML_NULL}
    # Splits have other names too, such as valid.
    named = {
        key: match.lastgroup for key in settings if (match := SPLIT_NAME.fullmatch(key.lower()))
    }
    if len({*named.values()}) < len(named):
        raise UserError(
            f'{file} has several keys for one split ({", ".join(named)}). Keep one of them'
        )
    return {named.get(key, key): value for key, value in settings.items()}


def read_names(settings: dict[str, Any], file: Path) -> list[str]:
    """Return the class names as a list.

    In data.yaml, ``names`` is a list, or a dict with class indices as keys.
    """
    setting = names = settings.get('names')
    if isinstance(names, dict):
        names = [names.get(str(index)) for index in range(len(names))]
    names = names if isinstance(names, list) else []
    problem = f"{file}: 'names' is {str(setting)[:60]}"
    if not names or not all(isinstance(name, str) for name in names):
        raise UserError(f'{problem}. Expected a list of names, for example "names: [cat, dog]"')
    if settings.get('nc', str(len(names))) != str(len(names)):
        raise UserError(
            f"{problem}, and 'nc' is {settings['nc']} instead of {len(names)}. Change 'nc' or "
            "'names'"
        )
    return names


def list_images(root: Path, sources: Any, yaml_file: Path) -> list[Path]:
    """Return the images of a split.

    ``sources`` are folders, or text files with the path of an image on each line.
    """
    named = [str(name) for name in (sources if isinstance(sources, list) else [sources])]
    images = []
    for path in (find_path(root, name) for name in named):
        if path.is_dir():
            images += [
                path / file for file in list_files(path) if file.suffix.lower() in IMAGE_SUFFIXES
            ]
        elif path.is_file():
            images += [
                find_path(path.parent, line.strip())
                for line in read_text(path).split('\n')
                if line.strip()
            ]
    images = [*dict.fromkeys(images)]
    absent = [name for name in named if not find_path(root, name).exists()]
    if absent or not any(path.is_file() for path in images):
        listed = f' that exist ({shorten([*map(str, images)])})' if images else ''
        problem = (
            f'which does not exist in {root}' if absent else f'which contains no images{listed}'
        )
        raise UserError(
            f'{yaml_file} names {shorten(absent or named)}, {problem}. Change it, or add the images'
        )
    return images


def find_path(root: Path, name: str) -> Path:
    """Return the path of ``name`` in ``root``. Roboflow writes ../train/images for train/images."""
    path = Path(name.replace('\\', '/'))
    found, below_root = root / path, Path(root, *(part for part in path.parts if part != '..'))
    if below_root.exists() and found.exists() and not below_root.samefile(found):
        raise UserError(
            f'{name} is {found} or {below_root}, and both exist. Write the right one, without ..'
        )
    return below_root if below_root.exists() else found


def find_label_file(image: Path) -> Path:
    """Return an image's label file: ``labels/x/a.txt`` for ``images/x/a.jpg``, or ``a.txt`` next to
    the image.
    """
    candidates, folders = [image], image.parts[:-1]
    if 'images' in folders:
        last = len(folders) - 1 - folders[::-1].index('images')
        candidates.insert(0, Path(*image.parts[:last], 'labels', *image.parts[last + 1 :]))
    candidates = [path.with_suffix(suffix) for path in candidates for suffix in ('.txt', '.TXT')]
    return next((path for path in candidates if path.is_file()), candidates[0])


def read_labels(file: Path, num_classes: int) -> tuple[list[tuple[int, list[float]]], list[str]]:
    """Return (label, values) of each object in a label file, and a message for each invalid line.

    Values are fractions of the image size: a box [centre x, centre y, width, height] or a polygon
    [x1, y1, x2, ...].
    """
    objects, problems = [], []
    for number, line in enumerate(read_text(file).split('\n'), start=1):
        try:
            label, *values = map(float, line.replace('_', '?').split())  # Python reads 1_0 as 10
        except ValueError:
            label, values = -1, []
        has_shape = len(values) == NUM_BOX_VALUES or (
            len(values) >= MIN_POLYGON_VALUES and len(values) % 2 == 0
        )
        if label in range(num_classes) and has_shape and all(map(isfinite, values)):
            objects.append((int(label), values))
        elif line.strip():
            text = 'Expected CLASS X Y WIDTH HEIGHT, or CLASS X1 Y1 X2 Y2 X3 Y3 ... for a polygon: a class from 0 to '
            text += f'{num_classes - 1}, and fractions of width and height, not pixels'
            problems.append(ObjectProblem(f'{file} line {number} is {line[:60]!r}. {text}'))
    return objects, problems


def make_coco_entries(values: list[float], width: int, height: int) -> dict[str, Any]:
    """Convert the values of a box or polygon to COCO's ``bbox``, ``area`` and, for a polygon,
    ``segmentation``.
    """
    points = np.reshape(values, (-1, 2)) * (width, height)
    if len(values) == NUM_BOX_VALUES:
        top_left, extent = points[0] - points[1] / 2, points[1]
        entries, area = {}, extent.prod()
    else:
        top_left, extent = points.min(0), np.ptp(points, axis=0)
        entries = {'segmentation': [points.round(2).ravel().tolist()]}
        area = measure_area(points.ravel().tolist())
    return {
        'bbox': np.concatenate([top_left, extent]).round(2).tolist(),
        'area': round(float(area), 2),
        **entries,
    }
