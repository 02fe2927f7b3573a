"""Read semantic maps: the number or the colour of a pixel is that of its class.

Tables of tools have the names of the classes, and the numbers or colours that stand for them.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ....datasets.label_maps import IGNORE_INDEX
from ....datasets.rules.images import OTHER_LABELS
from ....datasets.rules.rule import Finding
from ....errors import UserError, shorten
from ....host.files import read_text
from ..folders import Folder
from ..label_maps import Colour, PixelLabels, check_map_size, read_palette, read_values
from ..layouts import Pair, PairsBySplit
from ..reading import read_splits
from ..records import DatasetInfo, MapImage, MapSplit
from ..rules.findings import make_split_findings, reject_broken
from ..rules.parsing import UNUSABLE_MAPS
from .name_lists import LABELME_NAMES, compare_name_lists, read_text_list

COLOURS = 'labelmap.txt'  # of CVAT: a line NAME:RED,GREEN,BLUE:: for each class
NAMES_TABLE = '_classes.csv'  # of Roboflow: a line NUMBER, NAME for each class
# How the first line of a table begins, if it is not of a class.
HEADERS = ('# label:color_rgb', '# label : color', 'Pixel Value')
# A name on each line. The last two are labelme's: what it writes, and what its users write for it.
NAMES_FILES = ('classes.txt', 'class_names.txt', LABELME_NAMES)


def read_classes(folder: Folder) -> tuple[list[str], PixelLabels | None]:
    """Return the class names and, if a table says them, the class indices of pixel values.

    With a table of numbers, 255 stands for no class, unless the table has a class for it.

    Raises:
        UserError: A file of classes cannot be read, has more than 255, or contradicts another one.
    """
    names = []
    labels = None
    colours = folder.path / COLOURS
    tables = [folder.path / file for file in folder.files if file.name == NAMES_TABLE]
    if colours.is_file():
        tables = [colours]
    if tables:
        names, labels = read_tables(tables)
    source = tables[0].name if tables else ''
    for name in NAMES_FILES:
        file = folder.path / name
        if not names and file.is_file():
            names = read_text_list(file)
            source = name
    if len(names) > IGNORE_INDEX:
        raise UserError(
            f'{folder.path} has {len(names)} classes of pixels. At most {IGNORE_INDEX} can be '
            'trained, because maps have 8 bits and 255 is no class. Join classes'
        )
    if names:
        compare_name_lists(folder, names, source)
    return names, labels


def read_tables(tables: Sequence[Path]) -> tuple[list[str], PixelLabels]:
    """Return the class names and the class indices of pixel values, from CVAT's table, or from
    Roboflow's tables, one for each split.

    Raise a UserError if the tables differ.
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
    """Return the class names by the values of pixels, from CVAT's or Roboflow's table.

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
        except (ValueError, csv.Error) as error:
            raise UserError(
                f'{file} has the line {line!r}. Expected NAME:RED,GREEN,BLUE:: or NUMBER, NAME, '
                'with numbers from 0 to 255. Export it again'
            ) from error
        value = int.from_bytes(numbers, 'big')
        if value in names:
            raise UserError(
                f'{file} has {",".join(map(str, numbers))} for the classes {names[value]} and '
                f'{name}. Give each class its own'
            )
        names[value] = name
    return names


def parse_colour(line: str) -> tuple[bytes, str]:
    """Return the colour and the class name of a line NAME:RED,GREEN,BLUE::. Raise a ValueError for
    other lines.
    """
    name, colour = line.rsplit(':', 3)[:2]
    red, green, blue = map(int, colour.split(','))
    return bytes([red, green, blue]), name.strip()  # from 0 to 255, else ValueError


def parse_number(line: str) -> tuple[bytes, str]:
    """Return the number and the class name of a line NUMBER, NAME. Raise a ValueError or csv.Error
    for other lines.
    """
    number, name = next(csv.reader([line], skipinitialspace=True, strict=True))
    return bytes([int(number)]), name.strip()  # from 0 to 255, else ValueError


@dataclass(frozen=True)
class SemanticMap:
    """An image and its map, whose paths are relative to the dataset's folder."""

    image: Path
    file: Path
    values: set[int]  # the values of the map's pixels
    palette: Sequence[Colour] = ()  # of an indexed image


def read_semantic_maps(
    folder: Path, by_split: PairsBySplit, *, names: Sequence[str], labels: PixelLabels | None
) -> DatasetInfo:
    """Read maps of classes.

    Maps with colours, or with other values than class indices, are converted when a run copies its
    annotations.

    Args:
        folder: The dataset's folder.
        by_split: Images with their maps.
        names: The class names, or an empty list if the dataset does not say them.
        labels: The class indices of pixel values, if a table says them.
    """
    are_colours = bool(labels and labels.are_colours)
    found = read_splits(partial(read_semantic_map, folder, are_colours), by_split)
    maps = [each for own in found.by_split.values() for each in own]
    check_palettes(folder, maps)
    notes = []
    if not labels:
        labels, notes = choose_labels(folder, names, maps)
    has_class_names = bool(names)
    if not has_class_names:
        notes.append(
            'the classes have no names. To name them, write classes.txt with a name on each line'
        )
    names = choose_names(folder, maps, labels=labels, names=names)
    splits = {}
    problems = {split: [*errors] for split, errors in found.errors.items()}
    for split, own in found.by_split.items():
        images = []
        for each in own:
            problem = find_problem(folder, each, labels)
            if problem:
                problems[split].append(problem)
            else:
                images.append(make_image(each, labels, names))
        splits[split] = MapSplit(folder.resolve(), images)
    return DatasetInfo(
        folder=folder,
        format='semantic maps',
        annotation_types=('seg_maps',),
        classes=tuple(names),
        splits=splits,
        notes=notes,
        findings=make_split_findings(UNUSABLE_MAPS, problems),
        has_class_names=has_class_names,
    )


def read_semantic_map(folder: Path, are_colours: bool, pair: Pair) -> SemanticMap:
    """Read the map of an image, which has colours or numbers."""
    image, file = pair
    path = folder / file
    pixels = read_values(path, are_colours)
    check_map_size(pixels, path, folder / image)
    values = set(np.unique(pixels).tolist())
    palette = [] if are_colours else read_palette(path)
    return SemanticMap(image, file, values, palette)


def check_palettes(folder: Path, maps: Sequence[SemanticMap]) -> None:
    """Raise a UserError if a colour has different numbers in different maps, or a number different
    colours.

    Programs that reduce colours give each file a palette of its own. A colour that a palette has
    twice says nothing.
    """
    first_by_colour: dict[Colour, tuple[int, Path]] = {}
    first_by_value: dict[int, tuple[Colour, Path]] = {}
    for each in maps:
        for value in sorted(each.values):
            if value >= len(each.palette) or each.palette.count(each.palette[value]) > 1:
                continue
            colour = each.palette[value]
            first_value, first_file = first_by_colour.setdefault(colour, (value, each.file))
            if first_value != value:
                reject_palettes(
                    folder,
                    f'the colour {colour} is the number {first_value} in {first_file}, and {value} '
                    f'in {each.file}',
                )
            first_colour, first_file = first_by_value.setdefault(value, (colour, each.file))
            if first_colour != colour:
                reject_palettes(
                    folder,
                    f'the number {value} has the colour {first_colour} in {first_file}, and '
                    f'{colour} in {each.file}',
                )


def reject_palettes(folder: Path, reason: str) -> None:
    """Raise a UserError that asks whether numbers or colours stand for classes."""
    raise UserError(
        f'{folder}: {reason}, so its maps have other palettes. If the numbers stand for the '
        'classes, save each map without its palette: '
        'PIL.Image.fromarray(numpy.asarray(PIL.Image.open(file))).save(file). If the colours do, '
        "give all maps the palette of one: PIL.Image.open(file).convert('RGB').quantize("
        'palette=PIL.Image.open(one_with_all_classes), dither=0).save(file)'
    )


def choose_labels(
    folder: Path, names: Sequence[str], maps: Sequence[SemanticMap]
) -> tuple[PixelLabels, list[str]]:
    """Return the class indices of pixel values for maps without a table, and notes.

    A value is a class index, and 255 stands for no class. But if there are two class names, and all
    values are 0 or 255, then 255 is the second class. Raise a UserError if both may be meant.
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


def choose_names(
    folder: Path, maps: Sequence[SemanticMap], *, labels: PixelLabels, names: Sequence[str]
) -> Sequence[str]:
    """Return the class names: the given ones or, without any, made up ones.

    Args:
        folder: The dataset's folder, for messages.
        maps: All maps.
        labels: The class indices of pixel values.
        names: The class names, or an empty list. Then names are made up for 0 to the highest index.

    Raises:
        UserError: All indices are 0, an index has no name, or names are made up but an index
            between 0 and the highest one is in no map.
    """
    used = {labels.by_value.get(value) for each in maps for value in each.values}
    if None in used or used <= {IGNORE_INDEX}:
        return names  # find_problem says what is wrong with which map
    highest = max(used - {IGNORE_INDEX})
    missing = set()
    if not names:
        names = [f'class {index}' for index in range(highest + 1)]
        missing = set(range(1, highest)) - used
    if 0 < highest < len(names) and not missing:
        return names
    file = next(
        each.file
        for each in maps
        if highest in {labels.by_value.get(value) for value in each.values}
    )
    message = (
        f'{folder}: the segmentation maps have the values {shorten(sorted(used), 8)}, and the '
        f'classes are {shorten(names, 8)}. Expected 0 for the first class (or the first value of '
        'a table), 1 for the second, and so on, and 255 for none. Change the pixels, or name all '
        'classes in classes.txt, one on each line. With two names, 255 beside 0 is the second '
        f'class. The highest value but 255 is {highest}, for example in {file}'
    )
    reject_broken([Finding(OTHER_LABELS, str(file), message)])
    return names


def find_problem(folder: Path, each: SemanticMap, labels: PixelLabels) -> str:
    """Return what is wrong with a map, or ''.

    It has a value that stands for no class, or no value but 255.
    """
    own = {labels.by_value.get(value) for value in each.values}
    if None in own:
        return f'{folder / each.file} has colours or values of no class'
    if own == {IGNORE_INDEX}:
        return f'{folder / each.file} has no labelled pixel: all are 255'
    return ''


def make_image(each: SemanticMap, labels: PixelLabels, names: Sequence[str]) -> MapImage:
    """Return an image with the classes in its map, in which nothing is wrong."""
    own = {labels.by_value[value] for value in each.values}
    classes = frozenset(names[label] for label in own - {IGNORE_INDEX})
    return MapImage(str(each.image), map_name=str(each.file), classes=classes, pixel_labels=labels)
