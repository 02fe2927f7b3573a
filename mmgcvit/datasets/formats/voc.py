"""Read Pascal VOC annotations, an XML file for each image, as COCO annotations.

The package supervision reads this format too, but it ignores ``difficult``, ``ImageSets`` and ``size``. Its errors name
no file.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ...errors import UserError, get_first_line
from ...files import IMAGE_SUFFIXES, read_text
from ..headers import read_sizes
from .dataset_info import AnnotatedImage, DatasetInfo, find_split, list_files, make_split

BOX_KEYS = ('xmin', 'ymin', 'xmax', 'ymax')


def read_voc(folder: Path, files: list[Path]) -> DatasetInfo:
    """Read a folder's XML files. The split of a file is in ``ImageSets/Main`` or, without it, in a folder name."""
    roots, problems = {}, []
    for file in files:
        try:
            roots[file] = ElementTree.parse(folder / file).getroot()
        # Unknown encodings raise ValueError or LookupError.
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            problems.append(f'{folder / file} cannot be parsed as XML ({get_first_line(error)})')
    image_sets = read_image_sets(folder)
    splits: dict[str, list[Path]] = defaultdict(list)
    for file, root in roots.items():
        split = image_sets.get(file.stem) if image_sets else find_split(file.parent) or 'train'
        if split and root.tag == 'annotation':
            splits[split].append(file)
    read_files = [file for files in splits.values() for file in files]
    names = sorted({name for file in read_files for name, *_ in read_objects(folder / file, roots[file], problems)})
    if not splits['train'] or not names:
        hint = (
            f'; ImageSets/Main lists {next(iter(image_sets))}, but XML files have names such as {files[0].stem}'
            if image_sets
            else ''
        )
        raise UserError(f'{folder}: no XML file in it has Pascal VOC annotations of objects to train on{hint}')
    images = defaultdict(list)
    for path in list_files(folder):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images[path.stem].append(path)

    def read_image(file: Path) -> AnnotatedImage:
        root, objects = roots[file], []
        if file.stem not in images:
            raise UserError(f'{folder / file}: no image in {folder} has this name')
        # Prefer images next to the XML file or in JPEGImages, because segmentation maps may have the same names.
        image = folder / max(
            images[file.stem], key=lambda path: (path.parent == file.parent, 'JPEGImages' in path.parts)
        )
        for name, is_difficult, (left, top, right, bottom) in read_objects(folder / file, root, problems):
            box = [left, top, right - left, bottom - top]
            # Mark difficult objects as crowds, which training and evaluation ignore. VOC's evaluation ignores them too.
            objects.append((names.index(name), {'bbox': box, 'area': box[2] * box[3], 'iscrowd': int(is_difficult)}))
        # Boxes refer to the image after EXIF rotation, unless <size> is the size before the rotation.
        stored_size, rotated_size = read_sizes(image)
        annotated_size = [(root.findtext(f'size/{side}') or '').strip() for side in ('width', 'height')]
        return image, stored_size if annotated_size == [*map(str, stored_size)] else rotated_size, objects

    read_splits = {
        split: make_split(folder, names, files, read_image, problems) for split, files in splits.items() if files
    }
    return DatasetInfo(folder, 'Pascal VOC (XML)', ('boxes',), tuple(names), read_splits, problems=problems)


def read_image_sets(folder: Path) -> dict[str, str]:
    """Return the split of each image that is listed in ``ImageSets/Main``, by image name without folder and suffix."""
    image_sets = {}
    for split in ('trainval', 'train', 'val', 'test'):
        for file in folder.rglob(f'ImageSets/Main/{split}.txt'):
            names = [Path(line.strip()) for line in read_text(file).splitlines() if line.strip()]
            stems = [name.stem if name.suffix.lower() in IMAGE_SUFFIXES else name.name for name in names]
            image_sets |= dict.fromkeys(stems, split.removesuffix('val') or split)
    return image_sets


def read_objects(file: Path, root: ElementTree.Element, problems: list[str]) -> Iterator[tuple[str, bool, list[float]]]:
    """Yield (name, is_difficult, [x1, y1, x2, y2]) of each valid object. Add messages about others to ``problems``."""
    for number, obj in enumerate(root.iter('object'), start=1):
        name = (obj.findtext('name') or '').strip()
        values = [obj.findtext(f'bndbox/{key}') for key in BOX_KEYS]
        try:
            # VOC counts pixels from 1, and xmax and ymax are inside of the box. So subtract 1 from xmin and ymin only.
            box = [max(0.0, float(side) - (i < 2)) for i, side in enumerate(values)]
        except (TypeError, ValueError):
            box = [0.0] * 4
        if not name or not (box[0] < box[2] and box[1] < box[3]):
            problem = f'object {number} has the name {name!r} and {", ".join(BOX_KEYS)} {values}'
            problems.append(f'{file}: {problem}. Expected a name, and pixels with xmin < xmax and ymin < ymax')
            continue
        yield name, (obj.findtext('difficult') or '0').strip() == '1', box
