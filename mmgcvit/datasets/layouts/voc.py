"""Pascal VOC's layout: an XML file for each image, read as COCO's format."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ...errors import UserError, first_line
from ...files import IMAGE_ENDINGS, text_of
from ..headers import stored_and_upright_size
from .parts import Found, content_of, files_below, named_from, part_of

SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
# Of folders that have files of one name it is these that hold the images.
OF_IMAGES = {'jpegimages', 'images', 'imgs'}


def read_voc(folder: Path, files: list[Path]) -> Found:
    """The data of a folder's XML files; parts by ``ImageSets/Main``, or by the names of the folders they lie in."""
    roots = {file: parsed(folder / file) for file in files}
    annotations = {file: root for file, root in roots.items() if root.tag == 'annotation'}
    listed = image_sets(folder)
    parts: dict[str, list[tuple[Path, ElementTree.Element]]] = defaultdict(list)
    for file, root in annotations.items():
        if listed:
            # Of what ImageSets/Main does not list nothing is taken.
            part = next((listed[end] for end in ends_of(file) if end in listed), None)
        else:
            part = part_of(file.parent) or 'train'
        if part:
            parts[part].append((folder / file, root))
    if annotations and not parts:
        raise UserError(
            f'{folder}: ImageSets/Main lists none of the {len(annotations)} XML files; it has {next(iter(listed))}, '
            f'expected names as {next(iter(annotations)).stem}'
        )
    if not parts['train']:
        of_cvat = next((file for file, root in roots.items() if root.tag == 'annotations'), None)
        known = f"; {of_cvat} is of CVAT's own format, export as COCO 1.0 instead" if of_cvat else ''
        raise UserError(f'{folder}: no XML file in it has annotations of Pascal VOC for training{known}')
    names = sorted({name for part in parts.values() for file, root in part for name, *_ in objects_in(file, root)})
    if not names:
        raise UserError(f'{folder}: none of its {len(files)} XML files has an object')
    images = images_of(folder, [each for part in parts.values() for each in part])

    def described(file: Path, root: ElementTree.Element) -> tuple[Path, tuple[int, int], list[tuple[int, dict]]]:
        objects = []
        for name, is_difficult, (left, top, right, bottom) in objects_in(file, root):
            box = [left, top, right - left, bottom - top]
            # As crowds difficult ones are neither taught nor scored, as in VOC's own scores.
            entries = {'bbox': box, 'area': box[2] * box[3], 'iscrowd': int(is_difficult)}
            objects.append((names.index(name), entries))
        return images[file], annotated_size(file, root, images[file]), objects

    parts = {
        name: named_from(folder.resolve(), content_of(names, (described(*each) for each in parts[name])))
        for name in ('train', 'val', 'test')
        if parts[name]
    }
    return Found(folder, 'Pascal VOC (XML)', ('boxes',), tuple(names), parts)


def image_sets(folder: Path) -> dict[str, str]:
    """The part of each image that ``ImageSets/Main`` lists, by all that ends as the line does: ``train/0``, ``0``."""
    listed = {}
    for part in ('trainval', 'train', 'val', 'test'):
        for file in folder.rglob(f'ImageSets/Main/{part}.txt'):
            for line in text_of(file).splitlines():
                listed |= dict.fromkeys(ends_of(path_of(line)), part.removesuffix('val') or 'val')
    return listed


def ends_of(path: Path) -> list[str]:
    """The ends of a path, the longest first, without what an image's or an XML file's name ends in."""
    path = path.with_suffix('') if path.suffix.lower() in (*IMAGE_ENDINGS, '.xml') else path
    return ['/'.join(path.parts[start:]) for start in range(len(path.parts))]


def path_of(text: str) -> Path:
    """A path as it is written here or on Windows."""
    return Path(text.strip().replace('\\', '/'))


def parsed(file: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(file).getroot()
    # Of encodings that the parser does not know it raises the others.
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f'{file} is no whole XML in UTF-8 ({first_line(error)})') from None


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


def images_of(folder: Path, files: list[tuple[Path, ElementTree.Element]]) -> dict[Path, Path]:
    """The image of each XML file: by the file's own name, else by that in it, which stays when files are renamed."""
    there, images = defaultdict(list), {}
    for path in files_below(folder):
        if path.suffix.lower() in IMAGE_ENDINGS:
            there[path.stem].append(path)
            there[path.name].append(path)
    for file, root in files:
        named = path_of(root.findtext('filename') or '').name
        found = there.get(file.stem) or there.get(named) or []
        if not found:
            raise UserError(f'{file}: its image {named or file.stem} is not in {folder}')
        *others, nearest = sorted((nearness(path, file.relative_to(folder), named), path) for path in found)
        if others and others[-1][0] == nearest[0]:
            raise UserError(f'{file}: its image may be {others[-1][1]} or {nearest[1]}; leave one of them there')
        images[file] = folder / nearest[1]
    file_of = {}
    for file, image in images.items():
        if file_of.setdefault(image, file) != file:
            raise UserError(
                f'{file_of[image]} and {file} are both about {image}; name each XML file as its image, or leave one out'
            )
    return images


def nearness(image: Path, file: Path, named: str) -> tuple[bool, int, bool, bool]:
    """How well an image suits an XML file: beside it, in folders of its names, in one for images, by the name in it."""
    folders = {*image.parent.parts}
    is_of_images = not OF_IMAGES.isdisjoint(name.lower() for name in folders)
    is_beside = image.parent == file.parent
    return is_beside, len(folders.intersection(file.parent.parts)), is_of_images, image.name == named


def annotated_size(file: Path, root: ElementTree.Element, image: Path) -> tuple[int, int]:
    """Width and height that boxes go by: what an XML file says, if so the image is stored or turned upright."""
    stored, upright = stored_and_upright_size(image)
    said = [(root.findtext(f'size/{side}') or '0').strip().removesuffix('.0') for side in ('width', 'height')]
    if '0' in said or said == [*map(str, upright)]:
        return upright
    if said == [*map(str, stored)]:
        return stored
    raise UserError(
        f'{file}: size is {" x ".join(said)}, but {image} is {" x ".join(map(str, upright))}; '
        'expected the image that was annotated, or no size where only that is wrong'
    )
