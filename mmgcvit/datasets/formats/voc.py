"""Read Pascal VOC annotations, an XML file for each image, as COCO annotations.

The package supervision ignores ``difficult``, ``ImageSets`` and ``size``, and its errors name no
file.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache, partial
from math import isfinite, nan
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from ...errors import UserError, get_first_line, shorten
from ...files import IMAGE_SUFFIXES, read_text
from ..decoding import read_sizes
from .dataset_info import AnnotatedImage, DatasetInfo, make_split, read_each
from .folders import IMAGE_FOLDERS, MAP_FOLDERS
from .paths import SPLIT_NAME, assign_splits, count_steps, find_split, list_files
from .plausible import FLAGS, XYXY, ObjectProblem

BOX_KEYS = ('xmin', 'ymin', 'xmax', 'ymax')
NO_IMAGE_FOLDERS = {*MAP_FOLDERS, 'segmentationobject'} - {'annotations'}  # those without photos


class Annotation(NamedTuple):
    file: Path  # relative to the folder of the dataset
    image_name: str  # <filename> without folders
    image_folder: str  # <folder> without its parents
    size: tuple[int, int]  # (width, height), 0 where it is not written
    objects: list[tuple[str, dict[str, Any]]]  # (name, dict with COCO's keys) of each valid object
    problems: list[str]  # messages about the other objects


def read_voc(folder: Path, files: list[Path]) -> DatasetInfo:
    """Read a folder's XML files.

    The split of a file is in ``ImageSets/Main`` or, without it, in a folder name.
    """
    parsed, problems = read_each(partial(parse_annotation, folder), files)
    annotations = {annotation.file: annotation for annotation in parsed}
    paths = list_files(folder)
    files_by_split, unlisted = read_image_sets(folder, paths, list(annotations))
    used = [
        annotations[file]
        for file in sorted({file for files in files_by_split.values() for file in files})
    ]
    problems += unlisted + [problem for annotation in used for problem in annotation.problems]
    names = sorted({name for annotation in used for name, _ in annotation.objects})
    if not files_by_split.get('train') or not names:
        hint = (
            problems[0]
            if problems
            else f'For example {files[0]} has none, or ImageSets/Main does not list it'
        )
        raise UserError(
            f'{folder}: no XML file in it has Pascal VOC annotations of objects to train on. {hint}'
        )
    images = defaultdict(list)
    for path in paths:
        if path.suffix.lower() in IMAGE_SUFFIXES:
            images[path.stem].append(path)
    nearest = find_nearest_images(images, list(annotations))

    def read_image(file: Path) -> AnnotatedImage:
        annotation = annotations[file]
        image = folder / find_image(folder, annotation, nearest[file], images[file.stem])
        # Boxes refer to the image after EXIF rotation, unless <size> is that before it. Some tools
        # write 0.
        size = annotation.size if all(annotation.size) else read_sizes(image)[1]
        return AnnotatedImage(
            image, size, [(names.index(name), entries) for name, entries in annotation.objects]
        )

    splits, has_lists = {}, any('imagesets' in str(path).lower() for path in paths)
    for split, split_files in files_by_split.items():
        splits[split], found = make_split(folder, names, split_files, read_image)
        problems += found
        # Without lists, the splits follow from the folders of the XML files. Those of the images
        # must agree.
        others = {find_split(Path(name).parent) for name in splits[split].image_names} - {
            None,
            split,
        }
        if others and not has_lists:
            advice = 'Put their XML files into folders of the same names, or list the images in ImageSets/Main'
            raise UserError(
                f'{folder}: images of {split} are in folders of {" and ".join(sorted(others))}. '
                f'{advice}'
            )
    name = 'Pascal VOC (XML)'
    return DatasetInfo(
        folder, name, ('boxes',), tuple(names), splits, problems=problems, box_format=XYXY
    )


def parse_annotation(folder: Path, file: Path) -> Annotation:
    """Parse an XML file. Raise a UserError if it is damaged or of another format."""
    try:
        root = ElementTree.parse(folder / file).getroot()
    # Unknown encodings raise ValueError or LookupError.
    except (OSError, ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(
            f'{folder / file} cannot be parsed as XML ({get_first_line(error)})'
        ) from None
    if root.tag.lower() != 'annotation':
        raise UserError(f'{folder / file} has the root {root.tag!r} instead of annotation')
    image_name, image_folder = (
        re.split(r'[\\/]', root.findtext(key) or '')[-1] for key in ('filename', 'folder')
    )
    texts = [(root.findtext(f'size/{side}') or '').strip() for side in ('width', 'height')]
    # The size of an image has fewer digits; Python raises an error for thousands of them.
    width, height = (int(text) if text.isdecimal() and len(text) < 10 else 0 for text in texts)
    objects, problems = [], []
    for number, element in enumerate(root.iter('object'), start=1):
        name, difficult = ((element.findtext(key) or '').strip() for key in ('name', 'difficult'))
        values, difficult = (
            [element.findtext(f'bndbox/{key}') for key in BOX_KEYS],
            difficult.lower(),
        )
        try:
            # VOC counts pixels from 1, and xmax and ymax are inside of the box. So subtract 1 from
            # xmin and ymin only.
            left, top, right, bottom = (float(value) - (i < 2) for i, value in enumerate(values))
        except (TypeError, ValueError):
            left = top = right = bottom = nan
        box = [left, top, right - left, bottom - top]
        if name and min(box[2:]) > 0 and isfinite(sum(box)) and difficult in FLAGS:
            # Mark difficult objects as crowds, which training and evaluation ignore, as VOC's
            # evaluation does.
            objects.append(
                (name, {'bbox': box, 'area': box[2] * box[3], 'iscrowd': FLAGS[difficult]})
            )
        else:
            text = f'{folder / file}: object {number} has the name {name!r}, {", ".join(BOX_KEYS)} {values}, difficult '
            text += f'{difficult!r}. Expected a name, pixels with xmin < xmax and ymin < ymax, and 0 or 1 for difficult'
            problems.append(ObjectProblem(text))
    return Annotation(file, image_name, image_folder, (width, height), objects, problems)


def find_nearest_images(
    images: Mapping[str, Sequence[Path]], files: Sequence[Path]
) -> dict[Path, list[Path]]:
    """Return by XML file those of the ``images`` (by name) that are nearer to it than to the others
    of its name.
    """
    by_name, found = defaultdict(dict), defaultdict(list)
    for file in files:
        by_name[file.stem][file.parent] = file
    count = cache(count_steps)  # videos have thousands of images of the same name
    for name, by_folder in by_name.items():
        for image in images.get(name, ()):
            folders = [image.parent] if image.parent in by_folder else by_folder
            (steps, folder), *others = sorted(
                (count(folder, image.parent), folder) for folder in folders
            )
            if not others or steps < others[0][0]:
                found[by_folder[folder]].append(image)
    return found


def find_image(
    folder: Path, annotation: Annotation, nearest: Sequence[Path], images: Sequence[Path]
) -> Path:
    """Return the image of an XML file, next to it or in the nearest folder.

    ``images`` are all of its name.
    """
    file, image_name = annotation.file, annotation.image_name
    splits = {None, find_split(file.parent)}
    ratings = defaultdict(list)
    for image in nearest:
        steps, parents = (
            count_steps(file.parent, image.parent),
            {name.lower() for name in image.parent.parts},
        )
        if steps == 0 or (
            len(splits | {find_split(image.parent)}) < 3 and not parents & NO_IMAGE_FOLDERS
        ):
            differs = image.name != image_name, image.parent.name != annotation.image_folder
            # A map is as near as a photo, or nearer, in some layouts.
            is_map = steps > 0 and not parents.isdisjoint(MAP_FOLDERS)
            ratings[is_map, steps, differs, parents.isdisjoint(IMAGE_FOLDERS)].append(image)
    best = ratings[min(ratings)] if ratings else []
    if len(best) != 1:
        found = f'several images have this name ({shorten([*map(str, best)])})'
        others = (
            f', except those of other splits or XML files ({shorten([*map(str, images)])})'
            if images
            else ''
        )
        raise UserError(
            f'{folder / file}: {found if best else f"no image in {folder} has this name{others}"}'
        )
    if image_name != best[0].name and Path(folder, best[0].parent, image_name).is_file():
        raise UserError(
            f'{folder / file}: <filename> is {image_name!r}, which is another image beside '
            f'{best[0]}'
        )
    return best[0]


def read_image_sets(
    folder: Path, paths: list[Path], files: list[Path]
) -> tuple[dict[str, list[Path]], list[str]]:
    """Return the XML files of each split, by ``ImageSets/Main`` or folders, and messages for lines
    that name none.
    """
    lists: dict[Path, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in paths:
        name, match = path.stem.lower(), SPLIT_NAME.fullmatch(path.stem.lower())
        place = [part.lower() for part in path.parts[-3:-1]]
        if (
            place == ['imagesets', 'main']
            and path.suffix.lower() == '.txt'
            and (match or name == 'trainval')
        ):
            lists[path.parents[2]][match.lastgroup if match else name] += read_text(
                folder / path
            ).split('\n')
    splits, problems = defaultdict(list), []
    if not lists:
        for file, split in assign_splits(folder, files).items():
            splits[split].append(file)
    for root, lines_by_split in lists.items():
        # An image is listed by its path below Annotations or, if no other one has its name, by its
        # name.
        own = [file for file in files if file.is_relative_to(root)]
        counts = Counter(file.stem for file in own)
        by_name = {file.stem: file for file in own if counts[file.stem] == 1}
        by_name |= {
            str(Path(*file.with_suffix('').relative_to(root).parts[1:])): file for file in own
        }
        for split, lines in lines_by_split.items():
            found = {}
            for line in filter(str.strip, lines):
                names = [line, line.strip()]
                names += [
                    str(Path(n).with_suffix(''))
                    for n in names
                    if Path(n).suffix.lower() in IMAGE_SUFFIXES
                ]
                found[line] = next((by_name[name] for name in names if name in by_name), None)
            splits[split] += dict.fromkeys(file for file in found.values() if file)
            unlisted = [line for line, file in found.items() if not file]
            problems += [
                f'ImageSets of {folder / root} list {line!r}, which has no XML file'
                for line in unlisted
            ]
        held_out = {*splits['val'], *splits['test']}
        trainval = [file for file in splits.pop('trainval', ()) if file not in held_out]
        if 'train' not in lines_by_split:
            splits['train'] += trainval
    return {split: split_files for split, split_files in splits.items() if split_files}, problems
