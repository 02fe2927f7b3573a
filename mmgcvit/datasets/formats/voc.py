"""Pascal VOC's format, read into COCO's: an XML file for each image.

supervision reads this format too, but not ``difficult``, ``ImageSets`` or ``size``. It decodes every image, numbers the
classes of each split by itself, and its errors do not name the file.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ...errors import UserError, first_line
from ...files import IMAGE_ENDINGS, text_of
from ..headers import stored_and_upright_size
from .dataset_info import DatasetInfo, find_split, list_files, make_content, make_split

SIDES = ('xmin', 'ymin', 'xmax', 'ymax')
IMAGE_FOLDERS = {'jpegimages', 'images', 'imgs'}


def read_voc(folder: Path, files: list[Path]) -> DatasetInfo:
    """The data of a folder's XML files; splits by ``ImageSets/Main``, or by the names of their folders."""
    roots = {file: parse(folder / file) for file in files}
    roots = {file: root for file, root in roots.items() if root.tag == 'annotation'}
    listed = read_image_sets(folder)
    splits: dict[str, dict[Path, ElementTree.Element]] = defaultdict(dict)
    for file, root in roots.items():
        # ImageSets decides which files are used.
        split = listed.get(file.stem) if listed else find_split(file.parent) or 'train'
        if split:
            splits[split][file] = root
    if not splits['train']:
        hint = (
            f'; ImageSets/Main has {next(iter(listed))}, the files {next(iter(roots)).stem}' if listed and roots else ''
        )
        raise UserError(f'{folder}: no XML file in it has Pascal VOC annotations to train on{hint}')
    used = {file: root for each in splits.values() for file, root in each.items()}
    names = sorted({name for file, root in used.items() for name, *_ in read_objects(folder / file, root)})
    if not names:
        raise UserError(f'{folder}: none of its {len(files)} XML files has an object')
    images = find_images(folder, used)

    def read_image(file: Path) -> tuple[Path, tuple[int, int], list[tuple[int, dict]]]:
        objects = []
        for name, is_difficult, (left, top, right, bottom) in read_objects(folder / file, used[file]):
            box = [left, top, right - left, bottom - top]
            # As crowds, difficult objects are neither trained on nor scored, as in VOC's own scores.
            objects.append((names.index(name), {'bbox': box, 'area': box[2] * box[3], 'iscrowd': int(is_difficult)}))
        return images[file], read_size(folder / file, used[file], images[file]), objects

    return DatasetInfo(
        folder,
        'Pascal VOC (XML)',
        ('boxes',),
        tuple(names),
        {
            split: make_split(folder.resolve(), make_content(names, map(read_image, splits[split])))
            for split in ('train', 'val', 'test')
            if splits[split]
        },
    )


def read_image_sets(folder: Path) -> dict[str, str]:
    """The split of each image that ``ImageSets/Main`` lists, by its name without suffix."""
    listed = {}
    for split in ('trainval', 'train', 'val', 'test'):
        for file in folder.rglob(f'ImageSets/Main/{split}.txt'):
            names = [get_name(line) for line in text_of(file).splitlines() if line.strip()]
            listed |= {Path(name).stem if Path(name).suffix.lower() in IMAGE_ENDINGS else name: split for name in names}
    return {name: 'train' if split == 'trainval' else split for name, split in listed.items()}


def get_name(path: str) -> str:
    """The last part of a path as it is written here or on Windows."""
    return path.strip().replace('\\', '/').rsplit('/', 1)[-1]


def parse(file: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(file).getroot()
    # It raises the others for encodings that it does not know.
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(f'{file} is not valid XML in UTF-8 ({first_line(error)})') from None


def read_objects(file: Path, root: ElementTree.Element) -> Iterator[tuple[str, bool, list[float]]]:
    """Name, whether it is difficult, and left, top, right and bottom in pixels from 0, of each object."""
    for number, each in enumerate(root.iter('object'), start=1):
        name = (each.findtext('name') or '').strip()
        sides = [each.findtext(f'bndbox/{side}') for side in SIDES]
        try:
            # VOC counts pixels from 1, and the last one belongs to the box.
            box = [max(0.0, float(side) - (i < 2)) for i, side in enumerate(sides)]
        except (TypeError, ValueError):
            box = []
        if not name or not box or not (box[0] < box[2] and box[1] < box[3]):
            found = ', '.join(f'{side} {value}' for side, value in zip(SIDES, sides, strict=True))
            raise UserError(
                f'{file}: object {number} ({name or "without a name"}) has {found}; expected a name, and pixels with '
                'xmin < xmax and ymin < ymax'
            )
        yield name, (each.findtext('difficult') or '0').strip() == '1', box


def find_images(folder: Path, roots: dict[Path, ElementTree.Element]) -> dict[Path, Path]:
    """The image of each XML file: of the file's own name, else of the name in it, which renaming leaves as it was."""
    there, images = defaultdict(list), {}
    for path in list_files(folder):
        if path.suffix.lower() in IMAGE_ENDINGS:
            there[path.stem].append(path)
            there[path.name].append(path)
    for file, root in roots.items():
        named = get_name(root.findtext('filename') or '')
        found = there.get(file.stem) or there.get(named) or []
        if not found:
            raise UserError(f'{folder / file}: its image {named or file.stem} is not in {folder}')

        def rate(path: Path, file: Path = file, named: str = named) -> tuple[bool, int, bool, bool]:
            folders = {*path.parent.parts}
            is_for_images = not IMAGE_FOLDERS.isdisjoint(name.lower() for name in folders)
            return path.parent == file.parent, len(folders & {*file.parent.parts}), is_for_images, path.name == named

        *others, best = sorted(found, key=rate)
        if others and rate(others[-1]) == rate(best):
            raise UserError(f'{folder / file}: its image may be {others[-1]} or {best}; leave one of them there')
        if folder / best in images.values():
            raise UserError(f'{folder / best} has two XML files, one of them {file}; leave one of them there')
        images[file] = folder / best
    return images


def read_size(file: Path, root: ElementTree.Element, image: Path) -> tuple[int, int]:
    """Width and height that the boxes go by: as the XML file says, if the image has it as stored or turned upright."""
    stored, upright = stored_and_upright_size(image)
    stated = tuple((root.findtext(f'size/{side}') or '0').strip().removesuffix('.0') for side in ('width', 'height'))
    for size in (upright, stored):
        if '0' in stated or stated == tuple(map(str, size)):
            return size
    raise UserError(
        f'{file}: size is {" x ".join(stated)}, but {image} is {" x ".join(map(str, upright))}; expected the image '
        'that was annotated, or no size where only that is wrong'
    )
