"""Read YOLO annotations: a YAML file with the images' folders, and a text file for each image.

Format: https://docs.ultralytics.com/datasets/detect and .../datasets/segment. A line of a text file
is a class index and a box or a polygon, in fractions of the image's size.

The package supervision reads such files too. It converts every polygon to a mask (1.35 GB for 1,100
polygons in 100 images of 1280 x 960), and writes masks with holes or several parts as crowds, on
which mmdet does not train.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import isfinite
from pathlib import Path
from typing import TypeAlias

import numpy as np
import yaml

from ....datasets.annotations import Polygon, Size, parse_area, parse_box, parse_mask
from ....datasets.opening import read_sizes
from ....datasets.rules.images import UNREADABLE
from ....datasets.rules.rule import make_findings
from ....errors import UserError, format_count, shorten
from ....host.files import find_on_disk, make_absolute, normalise, read_text
from ..folders import Folder, scan_folder
from ..layouts import Fit, Layout, Match, Misfit, Pair, PairsBySplit, get_split
from ..reading import AnnotatedImage, ReadObject, list_problems, make_splits, read_splits
from ..records import DatasetInfo
from ..rules.findings import make_split_findings
from ..rules.parsing import MISPLACED_LABELS, UNUSED_LABELS, WRONG_LINES
from ..shapes import is_rectangle, measure_area
from .name_lists import compare_name_lists

# A value in YAML, of which all scalars are read as strings.
Yaml: TypeAlias = 'str | list[Yaml] | dict[str, Yaml]'
# The paths are in data.yaml, so layouts differ only in what it says.
LAYOUTS = (
    Layout(
        tools='Ultralytics and FiftyOne (YOLO)',
        source='https://docs.ultralytics.com/datasets/detect',
        tree="""data.yaml with train: images/train, val: images/val, names: [cat, dog]
images/train/a.jpg
labels/train/a.txt""",
    ),
    Layout(
        tools='Roboflow (YOLO)',
        source='https://openvinotoolkit.github.io/datumaro/latest/docs/data-formats/formats/roboflow.html',
        tree="""data.yaml with train: ../train/images, val: ../valid/images, names: [cat, dog]
train/images/a.jpg
train/labels/a.txt""",
    ),
    Layout(
        tools='CVAT (Ultralytics YOLO)',
        source='https://docs.cvat.ai/docs/dataset_management/formats/format-yolo-ultralytics',
        tree="""data.yaml with train: train.txt, names: {0: cat, 1: dog}
train.txt with lines such as data/images/train/a.jpg
images/train/a.jpg
labels/train/a.txt""",
    ),
    Layout(
        tools='labelImg (YOLO), with a data.yaml',
        source='https://github.com/HumanSignal/labelImg',
        tree='data.yaml with train: train, names: [cat, dog]\ntrain/a.jpg\ntrain/a.txt',
    ),
)
NUM_BOX_VALUES = 4  # polygons have more, x and y of each corner
YAML_NULL = ('', '~', 'null', 'Null', 'NULL')  # how YAML writes that a value is missing
KEYPOINT_MARGIN = 0.01  # fractions of the image by which keypoints may leave their box
# Of label files; small letters come first.
SUFFIXES = tuple(map(''.join, product('.', 'tT', 'xX', 'tT')))
MAX_DEPTH = 20  # of nested YAML: deeper nesting takes minutes and stack
CVAT_FOLDER = 'data/'  # with which the lines of CVAT's lists begin, though there is no such folder


def match_layouts(folder: Folder) -> Fit:
    """Return a match for YOLO's YAML file, or a misfit for labels without one.

    It is in the folder itself, and is called data or dataset, or has the key ``train``. Raise a
    UserError for several.
    """
    files = []
    for name in folder.list_files('.yaml', '.yml'):
        file = folder.path / name
        is_at_top = len(name.parts) == 1
        if is_at_top and (file.stem in ('data', 'dataset') or has_train_key(file)):
            files.append(file)
    if len(files) > 1:
        raise UserError(f'{shorten(files)} describe a dataset each. Keep one of them')
    if files:
        return Fit([Match(LAYOUTS[0], partial(read_dataset, folder, files[0]))])
    texts = set(folder.list_files('.txt'))
    labelled = [image for image in folder.images if make_label_path(image) in texts]
    if not labelled:
        return Fit()
    reason = (
        f'has YOLO labels ({make_label_path(labelled[0])}) but no data.yaml. Write one with two '
        f"lines: 'train: {labelled[0].parent}' and 'names: [first class, second class]', with the "
        'names of classes.txt if there is one'
    )
    return Fit(misfit=Misfit(LAYOUTS[0], reason))


def has_train_key(file: Path) -> bool:
    """Return whether a YAML file has a line that begins with ``train:``, in UTF-8 or ASCII."""
    return file.is_file() and '\ntrain:' in f'\n{file.read_text(errors="replace")}'


def make_label_path(image: Path) -> Path:
    """Return ``labels/x/a.txt`` for ``images/x/a.jpg``, and ``x/a.txt`` for ``x/a.jpg``.

    As for Ultralytics, the last folder ``images`` counts.
    """
    folder = f'/{image.parent}/'
    before, images, after = folder.rpartition('/images/')
    if images:
        folder = f'{before}/labels/{after}'
    return Path(folder[1:], f'{image.stem}.txt')


def read_dataset(folder: Folder, file: Path, task: str | None) -> DatasetInfo:
    """Read the splits that ``data.yaml`` names. Images without a label file are background."""
    text = read_text(file)
    try:
        settings = read_settings(file, text)
    except (UserError, OSError) as error:  # a list of images may be unreadable
        raise UserError(f'{file}: {error}') from error
    notes = [*settings.notes]
    outside = find_outside(folder.path, settings.images)
    if outside:
        notes.append(f'images are read from {shorten(outside)}, which {file} names')
    pairs = {
        split: [(path, find_label_file(settings.root, path)) for path in paths]
        for split, paths in settings.images.items()
    }
    notes += count_unlabelled(file, pairs)
    notes += compare_name_lists(folder, settings.names, file.name)
    images_per_file = count_images(pairs)
    found = read_splits(partial(read_image, images_per_file, settings.names), pairs)
    check_outlines(file, found.by_split, task)
    others = [find_label_file(settings.root, folder.path / image) for image in folder.images]
    unused = find_unused_labels(images_per_file, others, settings.names)
    label_files = [*images_per_file, *others]
    label_folders = {os.path.realpath(parent) for parent in {file.parent for file in label_files}}
    misplaced = find_misplaced_labels(folder, pairs, label_folders, settings.names)
    notes += describe_other_labels(folder, label_folders, settings.names)
    return DatasetInfo(
        folder=folder.path,
        format=f'YOLO ({file.name})',
        annotation_types=('boxes',),
        classes=tuple(settings.names),
        splits=make_splits(folder.path, settings.names, found.by_split),
        notes=notes,
        findings=[
            *make_split_findings(UNREADABLE, found.errors),
            *make_split_findings(WRONG_LINES, list_problems(found.by_split)),
            *make_findings(UNUSED_LABELS, unused),
            *make_split_findings(MISPLACED_LABELS, misplaced),
        ],
    )


def count_images(pairs: PairsBySplit) -> Counter[Path]:
    """Return the number of images of each label file. An image of several splits counts once."""
    images_per_file = Counter()
    counted = set()
    for own in pairs.values():
        for image, label_file in own:
            if image not in counted:
                images_per_file[label_file] += 1
                counted.add(image)
    return images_per_file


@dataclass(frozen=True)
class Settings:
    """What a YAML file says."""

    names: Sequence[str]  # of the classes
    root: Path  # the folder to which its paths are relative
    images: Mapping[str, Sequence[Path]]  # by split
    notes: Sequence[str]  # about splits that are left out


def read_settings(file: Path, text: str) -> Settings:
    """Read a YAML file, whose content is ``text``.

    Labelling tools name folders for val and test even if they write none: a note says so.

    Raises:
        UserError: The text cannot be used. The message does not name the file.
    """
    settings = parse_yaml(text)
    names = parse_names(settings)
    if 'kpt_shape' in settings:
        raise UserError('keypoints (kpt_shape) are not supported. Export boxes or polygons')
    root = file.parent / str(settings.get('path', ''))
    # Before Python 3.14, Path.is_dir raises an error for names that are too long.
    if not os.path.isdir(root):  # noqa: PTH112
        raise UserError(
            f"'path' is {settings['path']}, and there is no such folder. Remove the line if the "
            'other paths start at the folder of the file'
        )
    images = {}
    notes = []
    for split in ('train', 'val', 'test'):
        if split not in settings:
            continue
        try:
            images[split] = list_images(root, settings[split])
        except UserError as error:
            if split == 'train':
                raise
            notes.append(f'{split} is left out: {file} {error}')
    if 'train' not in images:
        raise UserError(
            'names no folder of training images. Add one, for example "train: images/train"'
        )
    return Settings(names, root, images=images, notes=notes)


def parse_yaml(text: str) -> dict[str, Yaml]:
    """Return a mapping in YAML. Keys that stand for a split become train, val or test.

    Keys without a value are left out. All scalars are strings, so that names such as ``no`` and
    ``010`` stay as they are written.
    """
    depth = 0
    try:
        for event in yaml.parse(text, yaml.BaseLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            # Aliases can grow without bound.
            if isinstance(event, yaml.AliasEvent) or depth > MAX_DEPTH:
                raise ValueError('aliases or deep nesting')
        settings = yaml.load(text, yaml.BaseLoader)
    # Scalars that YAML does not allow, such as a number of a character beyond Unicode, raise
    # ValueError.
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f'not valid YAML ({" ".join(str(error).split())})') from error
    if not isinstance(settings, dict):
        raise UserError(
            'has no keys. Expected at least "train: images/train" and "names: [cat, dog]"'
        )
    renamed = {}
    for key, value in settings.items():
        name = get_split(key) or key
        if name in renamed:
            raise UserError(f'has several keys for {name}, such as {key}. Keep one of them')
        if value not in YAML_NULL:
            renamed[name] = value
    return renamed


def parse_names(settings: Mapping[str, Yaml]) -> list[str]:
    """Return the class names. In data.yaml they are a list, or a dict with class indices as
    keys.
    """
    setting = names = settings.get('names')
    if isinstance(names, dict):
        names = [names.get(str(index)) for index in range(len(names))]
    problem = f"'names' is {str(setting)[:60]}"
    if not names or not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        raise UserError(f'{problem}. Expected a list of names, for example "names: [cat, dog]"')
    num_classes = settings.get('nc', str(len(names)))
    if num_classes != str(len(names)):
        raise UserError(
            f"{problem}, and 'nc' is {num_classes} instead of {len(names)}. Change 'nc' or 'names'"
        )
    return names


def list_images(root: Path, source: Yaml) -> list[Path]:
    """Return the images of a split. Raise a UserError if there are none.

    ``source`` is a folder, a text file with the path of an image on each line, or a list of them.
    """
    names = source if isinstance(source, list) else [source]
    prefix = '' if (root / CVAT_FOLDER).exists() else CVAT_FOLDER
    images = []
    for name in names:
        path = find_path(root, str(name))
        # As for the root, names may be too long.
        if os.path.isdir(path):  # noqa: PTH112
            images += [path / file for file in scan_folder(path).images]
        elif os.path.isfile(path):  # noqa: PTH113
            # The lines of a list are relative to its folder.
            for line in map(str.strip, read_text(path).split('\n')):
                if line:
                    images.append(find_path(path.parent, line.removeprefix(prefix)))
        else:
            raise UserError(
                f'names {name}, which does not exist in {root}. Change it, or add the images'
            )
    if not any(map(os.path.isfile, images)):
        raise UserError(
            f'names {shorten(names)}, which contains no images. Change it, or add the images'
        )
    return list(dict.fromkeys(images))


def find_path(root: Path, name: str) -> Path:
    """Return the path of ``name`` in ``root``, as the file of a dataset writes it.

    Roboflow writes ../train/images for train/images, so a name is also looked up without its
    ``..``.

    Raises:
        UserError: Both paths exist, and are not the same.
    """
    path = Path(name.replace('\\', '/'))
    found = root / find_on_disk(root, str(path))
    inside = str(Path(*(part for part in path.parts if part != '..')))
    below_root = root / find_on_disk(root, inside)
    if not os.path.exists(below_root):  # noqa: PTH110
        return found
    if os.path.exists(found) and not below_root.samefile(found):  # noqa: PTH110
        raise UserError(
            f'{name} is {found} or {below_root}, and both exist. Write the right one, without ..'
        )
    return below_root


def find_outside(folder: Path, images: Mapping[str, Sequence[Path]]) -> list[Path]:
    """Return the folders of images that are not below the dataset's folder.

    ``images`` has the paths that the YAML file names, by split.
    """
    root = make_absolute(folder)
    places = {make_absolute(path).parent for paths in images.values() for path in paths}
    return sorted(place for place in places if not place.is_relative_to(root))


def find_label_file(root: Path, image: Path) -> Path:
    """Return the path of an image's label file, whose suffix may be in capitals."""
    # Only folders in root count: a dataset may be in a folder called images.
    inside = image.relative_to(root) if image.is_relative_to(root) else image
    path = make_label_path(inside)
    for suffix in SUFFIXES:
        file = root / find_on_disk(root, str(path.with_suffix(suffix)))
        if file.is_file():
            return file
    return root / path


def count_unlabelled(file: Path, pairs: PairsBySplit) -> list[str]:
    """Return notes that count the images without a label file.

    Args:
        file: The YAML file.
        pairs: The images with their label files, which need not exist.

    Raises:
        UserError: No image of a split has a label file. Images for testing need none.
    """
    notes = []
    for split, own in pairs.items():
        number = sum(not label_file.is_file() for _, label_file in own)
        if number == len(own) and split != 'test':
            raise UserError(
                f'{file}: no image of {split} has a label file. Expected for example {own[0][1]}'
            )
        if number:
            notes.append(
                f'{split}: {format_count(number, "image")} without a label file, thus without '
                'objects'
            )
    return notes


def read_image(
    images_per_file: Mapping[Path, int], names: Sequence[str], pair: Pair
) -> AnnotatedImage:
    """Read an image's size and objects.

    Args:
        images_per_file: The number of images of each label file.
        names: The class names, by the indices in label files.
        pair: The image, and its label file, which need not exist.

    Raises:
        UserError: The image or its label file cannot be read, or another image has the same one.
    """
    image, file = pair
    size = read_sizes(image).upright
    if not file.is_file():
        return AnnotatedImage(image, size)
    if images_per_file[file] > 1:
        raise UserError(f'{image} shares {file} with another image. Rename one of them')
    objects = []
    problems = []
    for number, line in enumerate(read_text(file).split('\n'), start=1):
        parsed = parse_line(line, len(names))
        if parsed:
            label, values = parsed
            objects.append(make_object(names[label], values, size))
        elif line.strip():
            problems.append(f'{file} line {number} is {line[:60]!r}')
    return AnnotatedImage(image, size, objects=objects, problems=problems)


def parse_line(line: str, num_classes: int) -> tuple[int, list[float]] | None:
    """Return the class index and the values of a line, or None if it is not an object.

    Values are fractions of the image size: a box [centre x, centre y, width, height] or a polygon
    [x1, y1, x2, ...].
    """
    try:
        label, *values = map(float, line.replace('_', '?').split())  # Python reads 1_0 as 10
    except ValueError:
        return None
    has_shape = len(values) >= NUM_BOX_VALUES and len(values) % 2 == 0
    is_object = label in range(num_classes) and has_shape and all(map(isfinite, values))
    if not is_object or have_keypoints(values):
        return None
    return int(label), values


def have_keypoints(values: Sequence[float]) -> bool:
    """Return whether values are those of a pose label: a box, and keypoints inside of it.

    Each keypoint is [x, y, visibility], with 0, 1 or 2 for the latter; hidden ones are 0, 0.
    Without it, keypoints cannot be told from the corners of a polygon.
    """
    x, y, width, height, *keypoints = values
    if not keypoints or len(keypoints) % 3 or not {*keypoints[2::3]} <= {0, 1, 2}:
        return False
    limits = np.array([width, height]) / 2 + KEYPOINT_MARGIN
    points = np.reshape(keypoints, (-1, 3))[:, :2]
    return bool(((abs(points - (x, y)) <= limits) | (points == 0)).all())


def check_outlines(
    file: Path, found: Mapping[str, Sequence[AnnotatedImage]], task: str | None
) -> None:
    """Raise a UserError if all outlines may be boxes with keypoints, unless the task is 'segment'.

    All lines have as many numbers then, and by the first four, a box, the other points are inside
    of it. Rectangles are outlines: :func:`.finding.choose_annotation_types` asks about them.
    """
    outlines = [
        (each.mask[0], image.size)
        for images in found.values()
        for image in images
        for each in image.objects
        if isinstance(each.mask, Sequence) and each.mask
    ]
    lengths = {len(polygon) for polygon, _ in outlines}
    if task == 'segment' or len(lengths) != 1:
        return
    if all(is_rectangle([polygon]) for polygon, _ in outlines):
        return
    if all(may_be_pose(polygon, size) for polygon, size in outlines):
        number = len(outlines[0][0])
        raise UserError(
            f'{file}: all {len(outlines)} lines with outlines have {number} numbers behind the '
            'class, and look like pose labels: a box, and keypoints inside of it. If they are '
            'outlines, add --task segment. If they are keypoints, which are not supported, keep '
            'the first five numbers of each line'
        )


def may_be_pose(polygon: Polygon, size: Size) -> bool:
    """Return whether a line that was read as a polygon in pixels may be a box and keypoints.

    ``size`` is the (width, height) of the image. Keypoints that are not labelled are 0, 0.
    """
    points = np.reshape(polygon, (-1, 2)) / size
    centre = points[0]
    sides = points[1]
    keypoints = points[2:]
    limits = sides / 2 + KEYPOINT_MARGIN
    are_inside = (abs(keypoints - centre) <= limits).all(axis=1)
    are_missing = (abs(keypoints) == 0).all(axis=1)
    is_inside_image = (abs(centre - 0.5) + sides / 2 <= 0.5 + KEYPOINT_MARGIN).all()
    return bool(is_inside_image and (are_inside | are_missing).all())


def make_object(class_name: str, values: Sequence[float], size: Size) -> ReadObject:
    """Return an object in pixels.

    Args:
        class_name: Its class.
        values: A box or polygon in fractions of the image's size, as :func:`parse_line` returns it.
        size: The image's (width, height) in pixels.
    """
    points = np.reshape(values, (-1, 2)) * size
    mask = None
    if len(values) == NUM_BOX_VALUES:
        centre, sides = points
        corner = centre - sides / 2
        area = sides.prod()
    else:
        corner = points.min(0)
        sides = np.ptp(points, axis=0)
        area = measure_area(points.ravel())
        mask = [points.ravel().round(2).tolist()]
    return ReadObject(
        class_name=class_name,
        box=parse_box(np.round([*corner, *sides], 2).tolist()),
        area=parse_area(round(float(area), 2)),
        mask=parse_mask(mask),
    )


def find_unused_labels(
    label_files: Collection[Path], others: Iterable[Path], names: Sequence[str]
) -> list[str]:
    """Return the label files that have objects, but no image.

    Args:
        label_files: The label files of the images that are read.
        others: The label files of all images in the folder. A note counts the images that no list
            names, so their label files are not reported too.
        names: The class names, by the indices in label files.
    """
    # Without suffixes, since .TXT may be the same file as .txt.
    used = {file.with_suffix('') for file in (*label_files, *others)}
    unused = []
    for parent in dict.fromkeys(file.parent for file in label_files):
        for file in sorted(parent.glob('[!.]*.[tT][xX][tT]')):
            if file.with_suffix('') in used:
                continue
            if has_objects(file, names):
                unused.append(str(file))
    return unused


def find_misplaced_labels(
    folder: Folder, pairs: PairsBySplit, label_folders: Collection[str], names: Sequence[str]
) -> dict[str, list[str]]:
    """Return the images without a label file for which a text file of their name, with objects,
    lies elsewhere, by split.

    For example, ``images/a.txt`` lies beside its image, while YOLO has ``labels/a.txt``.

    Args:
        folder: The dataset's folder.
        pairs: The images with their label files, which need not exist.
        label_folders: The folders of the label files of all images, without links. A file in them
            that has no image is not that of an image elsewhere.
        names: The class names, by the indices in label files.
    """
    unlabelled = {
        split: [(image, file) for image, file in own if not file.is_file()]
        for split, own in pairs.items()
    }
    stems = {normalise(image.stem) for own in unlabelled.values() for image, _ in own}
    texts: dict[str, list[Path]] = {}
    for inside in folder.list_files('.txt'):
        file = folder.path / inside
        stem = normalise(inside.stem)
        is_elsewhere = os.path.realpath(file.parent) not in label_folders
        if stem in stems and is_elsewhere and has_objects(file, names):
            texts.setdefault(stem, []).append(file)
    found = {}
    for split, own in unlabelled.items():
        found[split] = [
            f'{image}: there is {shorten(texts[normalise(image.stem)], 1)} instead of {file}'
            for image, file in own
            if normalise(image.stem) in texts
        ]
    return found


def describe_other_labels(
    folder: Folder, label_folders: Collection[str], names: Sequence[str]
) -> list[str]:
    """Return a note about label files in folders ``labels`` in which no image has its own.

    ``label_folders`` are those of the label files of all images, without links, and ``names`` the
    class names.
    """
    parents: dict[Path, list[Path]] = {}
    for inside in folder.list_files('.txt'):
        if 'labels' in inside.parent.parts:
            parents.setdefault(inside.parent, []).append(inside)
    others = [
        file
        for parent, files in parents.items()
        if os.path.realpath(folder.path / parent) not in label_folders
        for file in files
        if has_objects(folder.path / file, names)
    ]
    if not others:
        return []
    return [
        f'not read, because no image has its labels there: {format_count(len(others), "label file")} '
        f'({shorten(others)})'
    ]


def has_objects(file: Path, names: Sequence[str]) -> bool:
    """Return whether a text file has a line that is an object of one of the classes."""
    if not file.is_file():
        return False
    lines = file.read_text(errors='replace').split('\n')
    return any(parse_line(line, len(names)) for line in lines)
