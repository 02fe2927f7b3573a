"""Read Pascal VOC annotations, an XML file for each image, as COCO annotations.

The package supervision reads this format too, but it ignores ``difficult``, ``ImageSets`` and ``size``. Its errors name
no file.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from xml.etree import ElementTree

from ...errors import UserError, get_first_line, shorten
from ...files import IMAGE_SUFFIXES, read_text
from ..decoding import read_sizes
from .dataset_info import (
    SPLIT_NAME,
    AnnotatedImage,
    DatasetInfo,
    assign_splits,
    count_steps,
    find_split,
    list_files,
    make_split,
)
from .folders import IMAGE_FOLDERS, MAP_FOLDERS

BOX_KEYS = ('xmin', 'ymin', 'xmax', 'ymax')
# Values of <difficult> in lower case. Tools write more than VOC's 0 and 1.
DIFFICULT = {**dict.fromkeys(('', '0', 'false', 'unspecified'), False), **dict.fromkeys(('1', 'true'), True)}
# Folders that have no photos.
NO_IMAGE_FOLDERS = {*MAP_FOLDERS, 'segmentationobject'} - {'annotations'}


def read_voc(folder: Path, files: list[Path]) -> DatasetInfo:
    """Read a folder's XML files. The split of a file is in ``ImageSets/Main`` or, without it, in a folder name."""
    roots, problems = {}, []
    for file in files:
        try:
            root = ElementTree.parse(folder / file).getroot()
        # Unknown encodings raise ValueError or LookupError.
        except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
            problems.append(f'{folder / file} cannot be parsed as XML ({get_first_line(error)})')
            continue
        if root.tag.lower() == 'annotation':
            roots[file] = root
        else:
            problems.append(f'{folder / file} has the root {root.tag!r} instead of annotation')
    paths = list_files(folder)
    splits = read_image_sets(folder, paths, list(roots), problems)
    read_files = sorted({file for files in splits.values() for file in files})
    names = sorted({name for file in read_files for name, *_ in read_objects(folder / file, roots[file], problems)})
    if not splits['train'] or not names:
        hint = (
            f'. {problems[0]}' if problems else f', for example {files[0]} has none, or ImageSets/Main does not list it'
        )
        raise UserError(f'{folder}: no XML file in it has Pascal VOC annotations of objects to train on{hint}')
    images, same_stem = defaultdict(list), defaultdict(list)
    for path in paths:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images[path.stem].append(path)
    for file in roots:
        same_stem[file.stem].append(file)

    def read_image(file: Path) -> AnnotatedImage:
        root, objects = roots[file], []
        image = folder / find_image(folder, file, root, images[file.stem], same_stem[file.stem])
        for name, is_difficult, (left, top, right, bottom) in read_objects(folder / file, root, problems):
            box = [left, top, right - left, bottom - top]
            # Mark difficult objects as crowds, which training and evaluation ignore. VOC's evaluation ignores them too.
            objects.append((names.index(name), {'bbox': box, 'area': box[2] * box[3], 'iscrowd': int(is_difficult)}))
        # Boxes refer to the image after EXIF rotation, unless <size> is the size before it. Some tools write 0.
        stored_size, rotated_size = read_sizes(image)
        texts = [(root.findtext(f'size/{side}') or '0').strip() for side in ('width', 'height')]
        annotated_size = tuple(int(text) if text.isdecimal() else 0 for text in texts)
        if all(annotated_size) and annotated_size not in (stored_size, rotated_size):
            sizes = [f'{width} x {height}' for width, height in (annotated_size, rotated_size)]
            raise UserError(f'{folder / file} is for an image of {sizes[0]}, but {image} is {sizes[1]}')
        return image, stored_size if annotated_size == stored_size else rotated_size, objects

    read_splits = {
        split: make_split(folder, names, files, read_image, problems) for split, files in splits.items() if files
    }
    has_lists = any('imagesets' in str(path).lower() for path in paths)
    for split, content in {} if has_lists else read_splits.items():
        # The splits follow from the folders of the XML files. Those of the images must agree.
        others = {find_split(Path(name).parent) for name in content.image_names} - {None, split}
        if others:
            raise UserError(
                f'{folder}: images of {split} are in folders of {" and ".join(sorted(others))}. Put their XML files '
                'into folders of the same names, or list the images in ImageSets/Main'
            )
    return DatasetInfo(folder, 'Pascal VOC (XML)', ('boxes',), tuple(names), read_splits, problems=problems)


def find_image(
    folder: Path, file: Path, root: ElementTree.Element, images: Sequence[Path], files: Sequence[Path]
) -> Path:
    """Return the image of an XML file: next to it, or in the nearest folder.

    Args:
        folder: The folder to which all paths are relative.
        file: The XML file.
        root: Its content. ``<filename>`` and ``<folder>`` select between images that are equally near.
        images: The images of its name, in any folder.
        files: All XML files of its name. An image that is nearer to another one of these, or as near, is not taken.
    """
    splits = {None, find_split(file.parent)}
    hints = [(root.findtext(key) or '').replace('\\', '/').rpartition('/')[2] for key in ('filename', 'folder')]
    ratings = defaultdict(list)
    for image in images:
        steps = {other: count_steps(other.parent, image.parent) for other in files}
        parents = {name.lower() for name in image.parent.parts}
        is_own = steps[file] == 0 or (len(splits | {find_split(image.parent)}) < 3 and not parents & NO_IMAGE_FOLDERS)
        if is_own and all(steps[file] < steps[other] for other in files if other != file):
            differs = image.name != hints[0], image.parent.name != hints[1], not parents & {*IMAGE_FOLDERS}
            # A map is as near as a photo, or nearer, in some layouts.
            is_map = steps[file] > 0 and not parents.isdisjoint(MAP_FOLDERS)
            ratings[is_map, steps[file], differs].append(image)
    best = ratings[min(ratings)] if ratings else []
    if len(best) != 1:
        found = f'several images have this name ({shorten([*map(str, best)])})'
        others = f', except those of other splits or XML files ({shorten([*map(str, images)])})' if images else ''
        raise UserError(f'{folder / file}: {found if best else f"no image in {folder} has this name{others}"}')
    if hints[0] != best[0].name and Path(folder, best[0].parent, hints[0]).is_file():
        raise UserError(f'{folder / file}: <filename> is {hints[0]!r}, which is another image beside {best[0]}')
    return best[0]


def read_image_sets(
    folder: Path, paths: Sequence[Path], files: Sequence[Path], problems: list[str]
) -> dict[str, list[Path]]:
    """Return the XML files of each split: by the lists in ``ImageSets/Main`` or, if there are none, by folder names.

    ``paths`` are all files of the folder, ``files`` its XML files. Add a message to ``problems`` for each line that
    names no XML file.
    """
    lists: dict[Path, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in paths:
        name, match = path.stem.lower(), SPLIT_NAME.fullmatch(path.stem.lower())
        place = [part.lower() for part in path.parts[-3:-1]]
        if place == ['imagesets', 'main'] and path.suffix.lower() == '.txt' and (match or name == 'trainval'):
            lists[path.parents[2]][match.lastgroup if match else name] += read_text(folder / path).split('\n')
    splits = defaultdict(list)
    if not lists:
        for file, split in assign_splits(folder, files).items():
            splits[split].append(file)
    for root, names_by_split in lists.items():
        # An image is listed by its path below Annotations or, if no other one has its name, by its name.
        own = [file for file in files if file.is_relative_to(root)]
        counts = Counter(file.stem for file in own)
        by_name = {file.stem: file for file in own if counts[file.stem] == 1}
        by_name |= {str(Path(*file.with_suffix('').relative_to(root).parts[1:])): file for file in own}
        for split, lines in names_by_split.items():
            found = {}
            for line in filter(str.strip, lines):
                names = [line, line.strip()]
                names += [str(Path(n).with_suffix('')) for n in names if Path(n).suffix.lower() in IMAGE_SUFFIXES]
                found[line] = next((by_name[name] for name in names if name in by_name), None)
            splits[split] += dict.fromkeys(file for file in found.values() if file)
            place = folder / root
            problems += [
                f'ImageSets of {place} list {line!r}, which has no XML file' for line, file in found.items() if not file
            ]
        held_out = {*splits['val'], *splits['test']}
        trainval = [file for file in splits.pop('trainval', ()) if file not in held_out]
        if 'train' not in names_by_split:
            splits['train'] += trainval
    return splits


def read_objects(file: Path, root: ElementTree.Element, problems: list[str]) -> Iterator[tuple[str, bool, list[float]]]:
    """Yield (name, is_difficult, [x1, y1, x2, y2]) of each valid object. Add messages about others to ``problems``."""
    for number, obj in enumerate(root.iter('object'), start=1):
        name = (obj.findtext('name') or '').strip()
        values = [obj.findtext(f'bndbox/{key}') for key in BOX_KEYS]
        try:
            # VOC counts pixels from 1, and xmax and ymax are inside of the box. So subtract 1 from xmin and ymin only.
            sides = [float(side) - (i < 2) for i, side in enumerate(values)]
        except (TypeError, ValueError):
            sides = [0.0] * 4
        box = [max(0.0, side) for side in sides]
        difficult = (obj.findtext('difficult') or '').strip().lower()
        is_valid = bool(name) and all(map(isfinite, sides)) and box[0] < box[2] and box[1] < box[3]
        if not is_valid or difficult not in DIFFICULT:
            problem = f'object {number} has the name {name!r}, {", ".join(BOX_KEYS)} {values}, difficult {difficult!r}'
            expected = 'a name, pixels with xmin < xmax and ymin < ymax, and 0 or 1 for difficult'
            problems.append(f'{file}: {problem}. Expected {expected}')
            continue
        yield name, DIFFICULT[difficult], box
