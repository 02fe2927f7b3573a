"""Read the classes of maps: their names, and the numbers or colours of pixels that stand for them."""

import csv
from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError
from ...files import read_text
from ..decoding import IGNORE_INDEX, PixelLabels
from ..folders import Folder

COLOURS = 'labelmap.txt'  # of CVAT: a line NAME:RED,GREEN,BLUE:: for each class
NAMES_TABLE = '_classes.csv'  # of Roboflow: a line NUMBER, NAME for each class
# How the first line of a table begins, if it is not of a class.
HEADERS = ('# label:color_rgb', '# label : color', 'Pixel Value')
NAMES_FILES = ('classes.txt', 'class_names.txt')  # a name on each line; the latter is labelme's


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
