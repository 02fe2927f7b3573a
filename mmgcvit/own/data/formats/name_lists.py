"""Compare the lists of class names in a folder, in which a label's number is a line or an entry."""

import re
from collections.abc import Sequence
from pathlib import Path

from ....datasets.annotations import Json
from ....datasets.coco_content import read_json
from ....errors import UserError, shorten
from ....host.files import read_text
from ..folders import Folder

# A name on each line: of many tools, labelme, and YOLO's Darknet.
TEXT_LISTS = ('classes.txt', 'class_names.txt', 'obj.names')
LABELME_NAMES = 'labels.txt'
LABELME_IGNORE = '__ignore__'  # labelme's first line, for pixels of no class, 255 in its maps
NUMBERED_NAME = re.compile(r'(\d+)[\s:,.;=)-]+([^\W\d].*)')  # as in 0 cat, 0: cat
LABEL_STUDIO_LIST = 'notes.json'  # categories with ids


def compare_name_lists(folder: Folder, names: Sequence[str], source: str) -> list[str]:
    """Return notes about lists in a folder that are longer or shorter than the class names.

    Args:
        folder: The dataset's folder.
        names: The class names that are read.
        source: The name of the file that has them.

    Raises:
        UserError: A list has another name for a class.
    """
    notes = []
    for file in folder.files:
        if file.name == source:
            continue
        others = read_names(folder.path / file)
        if not others:
            continue
        known = dict(enumerate(names))
        for index, other in sorted(others.items()):
            # A name that has another number in the source, or a number that has another name
            if known.get(index, '') != other and (index in known or other in names):
                name = repr(known[index]) if index in known else 'missing'
                raise UserError(
                    f'{folder.path}: class {index} is {name} in {source}, and {other!r} in '
                    f'{file}. Correct one of them, or remove the wrong file'
                )
        if len(others) != len(names):
            notes.append(
                f'{file} has {len(others)} class names and {source} {len(names)}: those of '
                f'{source} are read'
            )
    return notes


def read_names(file: Path) -> dict[int, str]:
    """Return the class names in a list, by their numbers, or none if the file is not one."""
    if file.name == LABEL_STUDIO_LIST:
        content, _ = read_json(file)
        return read_label_studio_names(content)
    if file.name in TEXT_LISTS and file.is_file():
        return dict(enumerate(read_text_list(file)))
    return {}


def read_label_studio_names(content: Json) -> dict[int, str]:
    """Return the class names in the content of notes.json, by their ids, or none if it has no such
    ids.

    The ids are the numbers in label files. Those that somebody has given to labels
    (``category="1"``) are strings, begin anywhere, and are not the lines of classes.txt.
    """
    categories = content.get('categories') if isinstance(content, dict) else None
    if not isinstance(categories, list) or not all(isinstance(each, dict) for each in categories):
        return {}
    by_id = {str(each.get('id')): str(each.get('name')) for each in categories}
    if not all(category_id.isdecimal() and len(category_id) < 10 for category_id in by_id):
        return {}
    return {int(category_id): name for category_id, name in by_id.items()}


def read_text_list(file: Path) -> list[str]:
    """Return the class names in a file with a name on each line, in the order of class indices.

    labelme counts its line ``__ignore__`` as -1, so it is not a class. Other programs' ``labels.txt``
    is not read: it may list images. Numbers before names are left out if they are class indices.

    Raises:
        UserError: Numbers before the names are those of other classes than the lines, or
            ``__ignore__`` is not in the first line.
    """
    return parse_text_list(read_text(file), file)


def parse_text_list(text: str, file: Path) -> list[str]:
    """Return the class names in the text of a file, as :func:`read_text_list` does."""
    names = [line.strip() for line in text.strip().split('\n')]
    is_of_labelme = names[0] == LABELME_IGNORE
    if file.name == LABELME_NAMES and not is_of_labelme:
        return []
    if is_of_labelme:
        del names[0]
    if LABELME_IGNORE in names:
        raise UserError(
            f'{file} has {LABELME_IGNORE} in line {names.index(LABELME_IGNORE) + 1}. Expected it '
            'in the first line, as labelme does, where it stands for no class, or not at all'
        )
    matches = [match for match in map(NUMBERED_NAME.fullmatch, names) if match]
    if len(matches) < len(names):
        return names
    numbers = [int(match[1]) for match in matches]
    if numbers == [*range(len(names))]:
        return [match[2] for match in matches]
    first = min(numbers)
    if first <= 1 and sorted(numbers) == [*range(first, first + len(names))]:
        raise UserError(
            f'{file} has numbers before the names: {shorten(names)}. Expected a name on each line: '
            'that of class 0, which is 0 in labels and maps, then that of 1, and so on. Remove the '
            'numbers, and add a line for 0 if it lacks, or for maps write _classes.csv with lines '
            'NUMBER, NAME'
        )
    return names  # that begin with numbers
