"""Read images with a map each: of classes (semantic) or of objects (instances).

A map is an image of one channel with a number in each pixel, or of CVAT with a colour. In a
semantic map the number is that of a class; in a map of instances, each object of an image has one
of its own. The numbers do not tell which of both they are, so the layout or ``--task`` must say it.
"""

import csv
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...errors import UserError, shorten
from ...files import read_text
from ..decoding import (
    IGNORE_INDEX,
    PixelLabels,
    check_map_size,
    read_segmentation_map,
    read_values,
)
from ..layouts import (
    Folder,
    Layout,
    Match,
    Pair,
    Pairs,
    PairsBySplit,
    pair_files,
    read_image_sets,
)
from ..reading import AnnotatedImage, make_splits, read_splits
from ..records import DatasetInfo, Entry, LabelSplit
from ..rules.parsing import SCATTERED, UNKNOWN_LINES, UNPAIRED, UNUSABLE_MAPS

MAP_SUFFIXES = ('.png', '.bmp', '.tif', '.tiff')
# Regions of an object are far apart if they span more than so many times the largest one.
MIN_SCATTER = 4
LOSSY_SUFFIXES = ('.jpg', '.jpeg', '.gif', '.webp')  # JPEG changes values
ULTRALYTICS = 'https://docs.ultralytics.com/datasets/semantic'
# Tools, their documentation, and their folders of images and of maps.
FOLDERS = (
    ('Ultralytics and Kaggle (maps)', ULTRALYTICS, 'images', 'masks'),
    (
        'FiftyOne (maps)',
        'https://docs.voxel51.com/user_guide/export_datasets.html',
        'data',
        'labels',
    ),
    ('images and labels (maps)', ULTRALYTICS, 'images', 'labels'),
    (
        'ADE20K (maps)',
        'https://github.com/open-mmlab/mmsegmentation/blob/main/docs/en/user_guides/2_dataset_prepare.md',
        'images',
        'annotations',
    ),
    (
        'mmsegmentation (maps)',
        'https://github.com/open-mmlab/mmsegmentation/blob/main/docs/en/advanced_guides/add_datasets.md',
        'img_dir',
        'ann_dir',
    ),
    (
        'labelme (maps)',
        'https://github.com/wkentaro/labelme/tree/main/examples/semantic_segmentation',
        'JPEGImages',
        'SegmentationClass',
    ),
)
# Values of --task, which say what the numbers are.
SEMANTIC = 'semantic'
INSTANCES = 'segment'
COLOURS = 'labelmap.txt'  # of CVAT: a line NAME:RED,GREEN,BLUE:: for each class
NAMES_TABLE = '_classes.csv'  # of Roboflow: a line NUMBER, NAME for each class
# How the first line of a table begins, if it is not of a class.
HEADERS = ('# label:color_rgb', '# label : color', 'Pixel Value')
NAMES_FILES = ('classes.txt', 'class_names.txt')  # a name on each line; the latter is labelme's
SPLIT_PLACES = ('{}', '{}/{{split}}', '{{split}}/{}')  # without splits, inside or outside


def make_layout(tools: str, source: str, images: str, maps: str, place: str) -> Layout:
    """Return the layout of two folders, with the folders of splits in one of the places."""
    images = place.format(images)
    maps = place.format(maps)
    tree = f'{images}/a.jpg\n{maps}/a.png'.replace('{split}', 'train')
    return Layout(tools, source, tree, images, maps)


CVAT = Layout(
    'CVAT (segmentation masks)',
    'https://docs.cvat.ai/docs/dataset_management/formats/format-smask',
    f'{COLOURS}\nJPEGImages/a.jpg\nSegmentationClass/a.png\n'
    'ImageSets/Segmentation/train.txt (or default.txt)',
    'JPEGImages',
    'SegmentationClass',
    task=SEMANTIC,
)
LAYOUTS = (
    *(make_layout(*row, place) for row in FOLDERS for place in SPLIT_PLACES),
    CVAT,
    Layout(
        'Roboflow (semantic segmentation masks)',
        'https://roboflow.com/formats/semantic-segmentation-masks',
        f'train/a.jpg\ntrain/a_mask.png\ntrain/{NAMES_TABLE}',
        '{split}',
        '{split}',
        ('_mask',),
        SEMANTIC,
    ),
    *(
        Layout(
            'cellpose',
            'https://cellpose.readthedocs.io/en/latest/train.html',
            f'{folder}a_img.png or {folder}a.png\n{folder}a_masks.png or {folder}a_cp_masks.png',
            place,
            place,
            ('_cp_masks', '_masks'),
            INSTANCES,
        )
        for folder, place in (('', ''), ('train/', '{split}'))
    ),
)
ASK = (
    'do the numbers in its maps stand for classes of pixels or for single objects? Add --task '
    'semantic for classes (a number means the same in all maps), or --task segment for objects '
    '(instances: each object of an image has a number of its own)'
)


def match_layouts(folder: Folder) -> Iterator[Match]:
    """Yield the layouts of images with maps that a folder fits or nearly fits.

    A layout fits if an image in its folder has a map of the same name.
    """
    is_of_cvat = (folder.path / COLOURS).is_file()
    for layout in LAYOUTS:
        # labelme has folders of the same names.
        if layout.annotations == CVAT.annotations and is_of_cvat != (layout == CVAT):
            continue
        pairs = pair_files(folder, layout, MAP_SUFFIXES)
        if any(pairs.by_split.values()):
            yield Match(layout, partial(read_dataset, folder, layout, pairs))
        elif pairs.unpaired_annotations and pairs.unpaired_images and not layout.endings:
            names = shorten([pairs.unpaired_images[0], pairs.unpaired_annotations[0]])
            yield Match(layout, misfit=f'no image has a map of its name ({names})')
        elif any(pair_files(folder, layout, LOSSY_SUFFIXES).by_split.values()):
            misfit = 'its maps are not PNG, BMP or TIFF files. Save them as PNG'
            yield Match(layout, misfit=misfit)


def read_dataset(folder: Folder, layout: Layout, pairs: Pairs, task: str | None) -> DatasetInfo:
    """Read images with maps, which are semantic or of instances as ``task`` or the layout says.

    Raises:
        UserError: Nothing says what the maps are, or their values do not fit the classes.
    """
    names, labels = read_classes(folder)
    kind = layout.task
    if task in (SEMANTIC, INSTANCES):
        kind = task
    # Without names for its values, a map of classes and one of objects look the same.
    elif not kind or (kind == SEMANTIC and not names):
        raise UserError(f'{folder.path}: {ASK}')
    by_split, unknown = read_image_sets(folder, layout, pairs.by_split, 'Segmentation')
    if kind == SEMANTIC:
        dataset = read_semantic_maps(folder.path, by_split, names, labels)
    else:
        dataset = read_instance_maps(folder.path, by_split, names)
    unpaired = [
        str(folder.path / path) for path in (*pairs.unpaired_images, *pairs.unpaired_annotations)
    ]
    return dataset._replace(
        maps=[file for each in pairs.by_split.values() for _, file in each],
        problems={UNPAIRED: unpaired, UNKNOWN_LINES: unknown, **dataset.problems},
    )


def read_classes(folder: Folder) -> tuple[list[str], PixelLabels | None]:
    """Return the class names and, if a table has them, the labels of pixels.

    In a table of numbers, 255 is no class, unless the table has it.

    Raises:
        UserError: A file of classes cannot be read, or has more than 255.
    """
    names = []
    labels = None
    colours = folder.path / COLOURS
    tables = [folder.path / file for file in folder.files if file.name == NAMES_TABLE]
    if colours.is_file():
        tables = [colours]
    if tables:
        names, labels = read_tables(tables)
    for name in NAMES_FILES:
        file = folder.path / name
        if not names and file.is_file():
            names = [line.strip() for line in read_text(file).strip().split('\n')]
    if len(names) > IGNORE_INDEX:
        raise UserError(
            f'{folder.path} has {len(names)} classes of pixels. At most {IGNORE_INDEX} can be '
            'trained, because maps have 8 bits and 255 is no class. Join classes'
        )
    return names, labels


def read_tables(tables: Sequence[Path]) -> tuple[list[str], PixelLabels]:
    """Return the class names and the labels of pixels in CVAT's table, or Roboflow's of each split.

    Raise a UserError if they differ.
    """
    classes, *others = map(read_table, tables)
    if any(other != classes for other in others):
        raise UserError(
            f'{" and ".join(map(str, tables))} differ, so a number has several classes. Export all '
            'splits with one table'
        )
    by_value = {value: index for index, value in enumerate(classes)}
    are_colours = tables[0].name == COLOURS
    if not are_colours:
        by_value.setdefault(IGNORE_INDEX, IGNORE_INDEX)
    return list(classes.values()), PixelLabels(by_value, are_colours)


def read_table(file: Path) -> dict[int, str]:
    """Return the class names by the values of pixels, from CVAT's or Roboflow's file.

    Raise a UserError if a line cannot be parsed, or two classes have the same value.
    """
    lines = [line for line in read_text(file).split('\n') if line.strip()]
    if lines and lines[0].startswith(HEADERS):
        del lines[0]
    parse = parse_colour if file.name == COLOURS else parse_number
    names = {}
    for line in lines or ['']:  # an empty file has a wrong line too
        try:
            numbers, name = parse(line)
        except (ValueError, csv.Error):
            raise UserError(
                f'{file} has the line {line!r}. Expected NAME:RED,GREEN,BLUE:: or NUMBER, NAME, '
                'with numbers from 0 to 255. Export it again'
            ) from None
        value = int.from_bytes(numbers, 'big')
        if value in names:
            raise UserError(
                f'{file} has {",".join(map(str, numbers))} for the classes {names[value]} and '
                f'{name}. Give each class its own'
            )
        names[value] = name
    return names


def parse_colour(line: str) -> tuple[bytes, str]:
    """Return the colour and the class of a line NAME:RED,GREEN,BLUE::. Raise a ValueError for
    others.
    """
    name, colour = line.rsplit(':', 3)[:2]
    red, green, blue = map(int, colour.split(','))
    return bytes([red, green, blue]), name.strip()  # from 0 to 255, else ValueError


def parse_number(line: str) -> tuple[bytes, str]:
    """Return the number and the class of a line NUMBER, NAME. Raise a ValueError or csv.Error for
    others.
    """
    number, name = next(csv.reader([line], skipinitialspace=True, strict=True))
    return bytes([int(number)]), name.strip()  # from 0 to 255, else ValueError


class SemanticMap(NamedTuple):
    """The map of an image, both relative to the dataset's folder."""

    image: Path
    file: Path
    values: set[int]  # those of its pixels


def read_semantic_maps(
    folder: Path, by_split: PairsBySplit, names: Sequence[str], labels: PixelLabels | None
) -> DatasetInfo:
    """Read maps of classes.

    Those with colours, or with other values than class indices, are converted when a run copies its
    annotations.

    Args:
        folder: The dataset's folder.
        by_split: Images with their maps.
        names: The class names, or none.
        labels: The labels of pixels, if a table has them.
    """
    are_colours = bool(labels and labels.are_colours)
    found, problems = read_splits(partial(read_semantic_map, folder, are_colours), by_split)
    maps = [*chain(*found.values())]
    notes = []
    if not labels:
        labels, notes = choose_labels(folder, names, maps)
    if not names:
        notes.append(
            'the classes have no names. To name them, write classes.txt with a name on each line'
        )
    used = {labels.by_value.get(value) for each in maps for value in each.values}
    names = choose_names(folder, used, names)
    splits = {}
    for split, own in found.items():
        images, wrong = make_entries(folder, own, labels, names)
        splits[split] = LabelSplit(folder.resolve(), images, labels)
        problems += wrong
    return DatasetInfo(
        folder,
        'semantic maps',
        ('seg_maps',),
        tuple(names),
        splits,
        notes,
        {UNUSABLE_MAPS: problems},
    )


def read_semantic_map(folder: Path, are_colours: bool, pair: Pair) -> SemanticMap:
    """Read the map of an image: colours, or numbers."""
    image, file = pair
    path = folder / file
    pixels = read_values(path, are_colours)
    check_map_size(pixels, path, folder / image)
    return SemanticMap(image, file, set(np.unique(pixels).tolist()))


def choose_labels(
    folder: Path, names: Sequence[str], maps: Sequence[SemanticMap]
) -> tuple[PixelLabels, list[str]]:
    """Return the labels of pixels for maps without a table, and notes.

    A value is the class index, and 255 is no class. With two names, 255 beside 0 is the second
    class. Raise a UserError if it may be either.
    """
    values = set().union(*(each.values for each in maps))
    if values == {0, IGNORE_INDEX} and len(names) == 2:
        note = f'255 in the maps is read as 1, {names[1]}'
        return PixelLabels({0: 0, IGNORE_INDEX: 1}), [note]
    with_255 = [each.file for each in maps if IGNORE_INDEX in each.values]
    with_1 = [each.file for each in maps if 1 in each.values]
    are_apart = set(with_255).isdisjoint(with_1)
    if with_255 and with_1 and are_apart and values <= {0, 1, IGNORE_INDEX}:
        raise UserError(
            f'{folder}: {with_255[0]} has 255 and no 1, but {with_1[0]} has 1 and no 255. If both '
            f'are the second class, write 1 in all maps. If 255 is no class, write {NAMES_TABLE} '
            'with the lines "0, background" and "1, object"'
        )
    return PixelLabels({value: value for value in range(IGNORE_INDEX + 1)}), []


def choose_names(folder: Path, labels: set[int | None], names: Sequence[str]) -> Sequence[str]:
    """Return the class names: those given, or made up ones.

    Args:
        folder: The dataset's folder, for messages.
        labels: The labels in all maps; None for a value that a table lacks.
        names: The class names; without them, names are made up if no label but 0 is missing.

    Raises:
        UserError: All labels are 0, a label has no name, or without names one is missing.
    """
    if None in labels or labels <= {IGNORE_INDEX}:
        return names  # make_entries says which maps are wrong
    highest = max(labels - {IGNORE_INDEX})
    missing = set()
    if not names:
        names = [f'class {index}' for index in range(highest + 1)]
        missing = set(range(1, highest)) - labels
    if 0 < highest < len(names) and not missing:
        return names
    raise UserError(
        f'{folder}: the segmentation maps have the values {shorten(sorted(labels), 8)}, and the '
        f'classes are {shorten(names, 8)}. Expected 0 for the first class (or the first value of '
        'a table), 1 for the second, and so on, and 255 for none. Change the pixels, or name all '
        'classes in classes.txt, one on each line. With two names, 255 beside 0 is the second class'
    )


def make_entries(
    folder: Path, maps: Sequence[SemanticMap], labels: PixelLabels, names: Sequence[str]
) -> tuple[list[Entry], list[str]]:
    """Return the entries of a :class:`LabelSplit`, and what is wrong with maps without a class."""
    entries = []
    wrong = []
    for each in maps:
        own = {labels.by_value.get(value) for value in each.values}
        if None in own:
            wrong.append(f'{folder / each.file} has colours or values of no class')
        elif own == {IGNORE_INDEX}:
            wrong.append(f'{folder / each.file} has no labelled pixel: all are 255')
        else:
            classes = {names[label] for label in own - {IGNORE_INDEX}}
            entries.append(
                {'file_name': str(each.image), 'label': str(each.file), 'classes': classes}
            )
    return entries, wrong


def read_instance_maps(folder: Path, by_split: PairsBySplit, names: Sequence[str]) -> DatasetInfo:
    """Read maps that give each object of an image a number; 0 is background."""
    names = tuple(names) or ('object',)
    if len(names) > 1:
        raise UserError(
            f'{folder}: maps of instances have one class, but there are {len(names)} names '
            f'({shorten(names)}). Keep one name, or add --task semantic'
        )
    found, problems = read_splits(partial(read_instances, folder, names[0]), by_split)
    splits, scattered = make_splits(folder, names, found)
    return DatasetInfo(
        folder,
        'instance label maps',
        ('masks', 'boxes'),
        names,
        splits,
        problems={UNUSABLE_MAPS: problems, SCATTERED: scattered},
    )


def read_instances(folder: Path, name: str, pair: Pair) -> AnnotatedImage:
    """Read the objects that the map of an image numbers, all of one class.

    In 8 bits, 255 is background, unless there is a 254.

    Args:
        folder: The dataset's folder.
        name: The name of the class.
        pair: The image and its map, relative to ``folder``.

    Returns:
        The image with its objects, whose masks are RLE.
    """
    from pycocotools import mask as coco_mask

    image = folder / pair[0]
    map_file = folder / pair[1]
    # pycocotools needs this order.
    labels = np.asfortranarray(read_segmentation_map(map_file, with_instances=True))
    check_map_size(labels, map_file, image)
    numbers = set(np.unique(labels).tolist()) - {0}
    if labels.dtype == np.uint8:
        if len(numbers) == 255:
            raise UserError(
                f'{map_file} has 8 bits and uses all 255 numbers, which more objects may share. '
                'Save it with 16 bits'
            )
        if numbers == {255}:
            raise UserError(
                f'{map_file} has no number but 255, the background. Give objects 1 to 254'
            )
        if 254 not in numbers:
            numbers.discard(255)
    objects = []
    scattered = []
    for number in sorted(numbers):
        pixels = (labels == number).view(np.uint8)
        mask = coco_mask.encode(pixels)
        box = coco_mask.toBbox(mask).tolist()
        values = {
            'bbox': box,
            'area': int(coco_mask.area(mask)),
            'iscrowd': 0,
            'segmentation': {**mask, 'counts': mask['counts'].decode()},
        }
        objects.append((name, values))
        x, y, width, height = map(int, box)
        if is_scattered(pixels[y : y + height, x : x + width]):
            scattered.append(f'{map_file} number {number}')
    return AnnotatedImage(image, labels.shape[::-1], objects, scattered)


def is_scattered(crop: NDArray[np.uint8]) -> bool:
    """Return whether the mask of an object has regions that are far apart for their sizes.

    ``crop`` is the mask in the object's box (height, width).
    """
    import cv2  # imported here, because only maps of instances need it

    number, _, regions, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(crop))
    largest = regions[1:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max()
    # The background is a region too.
    return number > 2 and max(crop.shape) > MIN_SCATTER * largest
