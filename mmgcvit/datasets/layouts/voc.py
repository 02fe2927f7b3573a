"""Pascal VOC's layout: an XML file for each image, read as COCO's format."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ...errors import UserError, first_line, shorten
from ...files import IMAGE_ENDINGS
from ..classes import coco_categories
from ..headers import upright_size
from .parts import Found, named_from, part_of

SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
# Folders of images beside that of the XML files.
IMAGES = ('JPEGImages', 'images', 'imgs', '.')


def read_voc(folder: Path, files: list[Path]) -> Found:
    """The data of XML files; parts by ``ImageSets/Main``, or by the names of the folders that they lie in.

    Args:
        folder: The folder of the data.
        files: The XML files in it, from it.
    """
    listed = image_sets(folder)
    parts: dict[str, list[tuple[Path, ElementTree.Element]]] = defaultdict(list)
    for file in files:
        root = parsed(folder / file)
        part = listed.get(file.stem) if listed else part_of(file.parent) or 'train'
        # Of what ImageSets/Main does not list nothing is taken.
        if root.tag == 'annotation' and part:
            parts[part].append((folder / file, root))
    if not parts['train']:
        raise UserError(f'{folder}: no XML file in it has annotations of Pascal VOC for training')
    names = sorted({name for part in parts.values() for file, root in part for name, *_ in objects_in(file, root)})
    if not names:
        raise UserError(f'{folder}: none of its {len(files)} XML files has an object')
    contents = {name: content_of(folder, parts[name], names) for name in ('train', 'val', 'test') if parts[name]}
    parts = {name: named_from(folder.resolve(), content) for name, content in contents.items()}
    return Found(folder, 'Pascal VOC (XML)', ('boxes',), tuple(names), parts)


def image_sets(folder: Path) -> dict[str, str]:
    """The part of each image that ``ImageSets/Main`` lists, by the name of its XML file."""
    listed = {}
    for part in ('trainval', 'train', 'val', 'test'):
        for file in folder.rglob(f'ImageSets/Main/{part}.txt'):
            lines = file.read_text(encoding='utf-8', errors='replace').splitlines()
            listed |= {line.strip(): part.removesuffix('val') or 'val' for line in lines if line.strip()}
    return listed


def content_of(folder: Path, files: list[tuple[Path, ElementTree.Element]], names: list[str]) -> dict[str, Any]:
    """An annotation file's content."""
    content = {'images': [], 'annotations': [], 'categories': coco_categories(names)}
    id_of = {category['name']: category['id'] for category in content['categories']}
    for number, (file, root) in enumerate(files, start=1):
        path = image_of(folder, file, root)
        width, height = upright_size(path)
        content['images'].append({'id': number, 'file_name': str(path), 'width': width, 'height': height})
        for name, is_difficult, (left, top, right, bottom) in objects_in(file, root):
            content['annotations'].append(
                {
                    'id': len(content['annotations']) + 1,
                    'image_id': number,
                    'category_id': id_of[name],
                    'bbox': [left, top, right - left, bottom - top],
                    'area': (right - left) * (bottom - top),
                    # Neither taught nor scored, as in VOC's own scores.
                    'iscrowd': int(is_difficult),
                }
            )
    return content


def parsed(file: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f'{file} is no whole XML ({first_line(error)})') from None


def objects_in(file: Path, root: ElementTree.Element) -> Iterator[tuple[str, bool, list[float]]]:
    """Name, whether it is difficult, and left, top, right and bottom in pixels from 0, of each object."""
    for number, each in enumerate(root.iter('object'), start=1):
        name = (each.findtext('name') or '').strip()
        sides = [each.findtext(f'bndbox/{side}') for side in SIDES]
        try:
            # Pixels from 1 on, the last one within the box.
            box = [max(0.0, float(side) - (i < 2)) for i, side in enumerate(sides)]
        except (TypeError, ValueError):
            box = []
        if not name or not box or not (box[0] < box[2] and box[1] < box[3]):
            said = ', '.join(f'{side} {value}' for side, value in zip(SIDES, sides, strict=True))
            raise UserError(
                f'{file}: object {number} ({name or "without a name"}) has {said}; expected a name, and pixels with '
                'xmin < xmax and ymin < ymax'
            )
        yield name, (each.findtext('difficult') or '0').strip() == '1', box


def image_of(folder: Path, file: Path, root: ElementTree.Element) -> Path:
    """The image that an XML file is about, by the name in it or by its own."""
    named = Path((root.findtext('filename') or '').replace('\\', '/').strip()).name
    folders = [file.parent, *(file.parent.parent / name for name in IMAGES), folder]
    names = [*([named] if named else []), *(file.stem + ending for ending in IMAGE_ENDINGS)]
    names += [file.stem + ending.upper() for ending in IMAGE_ENDINGS]
    places = (place / name for place in folders for name in names)
    found = next((path for path in places if path.is_file() and path.suffix.lower() in IMAGE_ENDINGS), None)
    if found is None:
        looked = shorten([*dict.fromkeys(str(place) for place in folders)], most=6)
        raise UserError(f'{file}: its image {named or file.stem} is not in {looked}')
    return found
