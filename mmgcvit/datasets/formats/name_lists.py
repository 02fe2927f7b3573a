"""Compare the lists of class names in a folder, in which a label's number is a line or an entry."""

from collections.abc import Sequence
from pathlib import Path

from ...errors import UserError
from ...files import read_text
from ..annotations import Json
from ..coco_content import read_json
from ..folders import Folder

# A name on each line: of many tools, labelme, and YOLO's Darknet.
TEXT_LISTS = ('classes.txt', 'class_names.txt', 'obj.names')
LABEL_STUDIO_LIST = 'notes.json'  # categories with ids from 0


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
        for index, (name, other) in enumerate(zip(names, others, strict=False)):
            if name != other:
                raise UserError(
                    f'{folder.path}: class {index} is {name!r} in {source}, and {other!r} in '
                    f'{file}. Correct one of them, or remove the wrong file'
                )
        if len(others) != len(names):
            notes.append(
                f'{file} has {len(others)} class names and {source} {len(names)}: those of {source} '
                'are read'
            )
    return notes


def read_names(file: Path) -> list[str]:
    """Return the class names in a list, or none if the file is not one."""
    if file.name == LABEL_STUDIO_LIST:
        content, _ = read_json(file)
        return read_label_studio_names(content)
    if file.name in TEXT_LISTS and file.is_file():
        return [line.strip() for line in read_text(file).strip().split('\n') if line.strip()]
    return []


def read_label_studio_names(content: Json) -> list[str]:
    """Return the class names by id in the content of notes.json, or none if it has no such ids."""
    categories = content.get('categories') if isinstance(content, dict) else None
    if not isinstance(categories, list) or not all(isinstance(each, dict) for each in categories):
        return []
    by_id = {each.get('id'): str(each.get('name')) for each in categories}
    if set(by_id) != set(range(len(categories))):
        return []
    return [by_id[index] for index in range(len(categories))]
