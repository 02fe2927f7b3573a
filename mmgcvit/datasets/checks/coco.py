"""Annotation files in COCO's format: each as a whole, its entries by a table of problems, its masks by another."""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from reprlib import repr as brief
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from ...errors import first_line
from .images import Picture, check_presence, problem_of
from .problems import Kind, Outcome, Report
from .sources import steps_of

LEFT_OUT, REPAIRED = Outcome.LEFT_OUT, Outcome.REPAIRED
Entry = Mapping[str, Any]

INVALID_JSON = Kind('is not valid JSON in UTF-8', 'export it again; CSV, XML and text files are of other formats')
NO_OBJECT = Kind('JSON, but no object', 'it must begin with { and name images, annotations, categories')
NO_COCO = Kind("no annotation file in COCO's format", 'it must hold lists of images, annotations, categories')
LACKING = Kind('entries that lack a key', 'add what is missing')
NO_ID = Kind('ids that are neither numbers nor text, or names that are no text', 'correct them')

# What an id may be; classes that are compared exactly, because there are millions of ids.
ID = (int, float, str)
# What hosts read of each entry, and of that what entries are told from each other and refer to each other by.
KEYS = {
    'images': {'id': ID, 'file_name': (str,), 'height': None, 'width': None},
    'annotations': {'id': ID, 'image_id': ID, 'category_id': ID, 'bbox': None, 'area': None},
    'categories': {'id': ID, 'name': (str,)},
}


def read_json(path: str, report: Report) -> dict[str, Any] | None:
    """The content of a file that holds a JSON object; None where the report gets why there is none."""
    problem = problem_of(path)
    if problem is not None:
        report.add(problem, path)
        return None
    try:
        loaded = json.loads(Path(path).read_text(encoding='utf-8'))
    # Not UTF-8, not JSON, an integer of over 4,300 digits; brackets within brackets within brackets.
    except (ValueError, RecursionError) as error:
        report.add(INVALID_JSON, path, [first_line(error)])
        return None
    if not isinstance(loaded, dict):
        report.add(NO_OBJECT, path)
        return None
    return loaded


def select_entries(
    place: str, content: Entry, is_scored: bool, report: Report
) -> tuple[list[Entry], list[Entry], list[Entry]] | None:
    """Images, annotations and categories that have all keys; None where they say too little."""
    missing = [name for name in KEYS if not isinstance(content.get(name), list)]
    if is_scored and missing == ['annotations']:
        report.notes.append(f'{place} has no annotations: there is nothing to score against')
        content, missing = {**content, 'annotations': []}, []
    if missing:
        report.add(NO_COCO, place, [f'no {name}' for name in missing])
        return None
    whole, is_told_apart = [], True
    for name, allowed in KEYS.items():
        # What the computation of scores asks for besides.
        keys = frozenset(allowed) | ({'iscrowd'} if is_scored and name == 'annotations' else set())
        lacking, odd, found = [], [], []
        for number, entry in enumerate(content[name]):
            if not isinstance(entry, dict):
                lacking.append(f'{name}[{number}] is no object')
            elif not keys <= entry.keys():
                missing = ' and '.join(map(repr, sorted(keys - entry.keys())))
                lacking.append(f'{name}[{number}] (id {entry.get("id")}) has no {missing}')
            else:
                found.append(entry)
                for key, types in allowed.items():
                    if types is not None and type(entry[key]) not in types:
                        odd.append(f'{name}[{number}] {key} {entry[key]!r}')
        report.add(LACKING, place, lacking)
        report.add(NO_ID, place, odd)
        whole.append(found)
        # What annotations refer to would seem to be missing.
        is_told_apart &= not odd and (not lacking or name == 'annotations')
    return tuple(whole) if is_told_apart else None


class CocoFile:
    """A file's entries as they are, and in columns those annotations (placed) whose image is listed and has a size."""

    def __init__(
        self, images: list[Entry], annotations: list[Entry], categories: list[Entry], classes: Any, is_scored: bool
    ) -> None:
        self.images, self.annotations, self.categories = images, annotations, categories
        names = {category['id']: category['name'] for category in categories}
        self.classes, self.is_scored = classes or list(names.values()), is_scored
        # Width and height, (images, 2); NaN where an image has none.
        sizes = np.concatenate([as_numbers([image[key] for image in images], 1) for key in ('width', 'height')], 1)
        self.sizes = np.where(((sizes >= 1) & (sizes == np.floor(sizes))).all(1, keepdims=True), sizes, np.nan)
        number_of = {image['id']: number for number, image in enumerate(images)}
        numbers = np.array([number_of.get(entry['image_id'], -1) for entry in annotations], np.int64)
        self.strays = [annotations[number] for number in np.flatnonzero(numbers < 0)]
        frames = np.concatenate([self.sizes, np.full((1, 2), np.nan)])[numbers]
        placed = np.flatnonzero(np.isfinite(frames).all(1))
        self.placed, self.frames = [annotations[number] for number in placed], frames[placed]
        # NaN where they are no such numbers.
        self.start, self.extent = np.hsplit(as_numbers([entry['bbox'] for entry in self.placed], 4), 2)
        self.areas = as_numbers([entry['area'] for entry in self.placed], 1)[:, 0]
        named = [names.get(entry['category_id']) for entry in self.placed]
        self.is_listed = np.array([name is not None for name in named], bool)
        known = frozenset(self.classes)
        self.in_class = np.array([name in known for name in named], bool)
        # Nothing has been found wrong with their boxes so far.
        self.sound = np.ones(len(self.placed), bool)

    def said(self, key: str, concerned: Sequence[bool]) -> list[str]:
        """Some of the placed annotations in words."""
        return [in_words(self.placed[number], key) for number in np.flatnonzero(concerned)]

    def flagged(self, key: str) -> NDArray[np.bool_]:
        """The placed annotations that have a flag set, (placed,)."""
        return np.array([entry.get(key) == 1 for entry in self.placed], bool)


def in_words(annotation: Entry, key: str) -> str:
    return f'annotation {annotation["id"]} {key} {brief(annotation[key])}'


def ids_of(file: CocoFile, wrong: Callable[[list[Any]], Sequence[Any]], *names: str) -> list[str]:
    """The ids of the entries of some names that are wrong among them, in words."""
    return [
        f'{name} id {brief(value)}' for name in names for value in wrong([entry['id'] for entry in getattr(file, name)])
    ]


def used_twice(values: Sequence[Any]) -> list[Any]:
    return [value for value, number in Counter(values).items() if number > 1]


def mixed(ids: Sequence[Any]) -> list[Any]:
    """The ids that are text beside numbers, or numbers beside text: the fewer."""
    texts = [value for value in ids if isinstance(value, str)]
    return min(texts, [value for value in ids if not isinstance(value, str)], key=len)


def changed_by_numpy(ids: Sequence[Any]) -> list[Any]:
    """The ids that an array does not give back, where it is not for being mixed."""
    given_back = set(ids if mixed(ids) else np.unique(ids).tolist())
    return [value for value in ids if value not in given_back]


def absent_classes(file: CocoFile) -> list[str]:
    """The classes that the file has no category for, the first with those that it has."""
    names = [category['name'] for category in file.categories]
    absent = [repr(name) for name in file.classes if name not in names]
    has = ', '.join(map(repr, names[:MOST_NAMES])) + (', ...' if len(names) > MOST_NAMES else '')
    return [f'{absent[0]} (it has: {has})', *absent[1:]] if absent else []


def swapped_classes(file: CocoFile) -> list[str]:
    """The categories that hosts, which number them in the file's order, would call by another class's name."""
    if absent_classes(file):
        return []
    common = [category['name'] for category in file.categories if category['name'] in file.classes]
    # Of different lengths where names are used twice, which is reported as such.
    pairs = zip(common, file.classes, strict=False)
    return [f'{name!r} would be called {called!r}' for name, called in pairs if name != called]


# Of categories in a complaint.
MOST_NAMES = 20
# Rounded numbers reach over the edge by less, and COCO's own do.
PIXEL = 1.0
DEGENERATE = 'training leaves them out, scores count them'
# What may be wrong, and the test for it, which gives all that have it, in words.
PROBLEMS = {
    Kind('ids that are used twice', 'give each entry an id of its own'): (
        lambda file: [
            *ids_of(file, used_twice, 'images', 'annotations', 'categories'),
            *(f'categories name {name}' for name in used_twice([entry['name'] for entry in file.categories])),
        ]
    ),
    Kind(
        'has no category of the name of a class', 'spell the classes of the config and the categories alike'
    ): absent_classes,
    Kind(
        'categories in another order than the classes of the config',
        "sort the config's classes as the file's categories: hosts number labels by the file, and would swap names",
    ): swapped_classes,
    Kind('images without a width and height above zero', 'write both in pixels, as whole numbers'): (
        lambda file: [
            f'{image["file_name"]} {image["width"]} x {image["height"]}'
            for image, (width, _) in zip(file.images, file.sizes, strict=True)
            if np.isnan(width)
        ]
    ),
    Kind('annotations of images that the file does not list', 'list them under images', LEFT_OUT): (
        lambda file: [in_words(entry, 'image_id') for entry in file.strays]
    ),
    Kind('annotations of categories that the file does not list', 'list them under categories'): (
        lambda file: file.said('category_id', ~file.is_listed)
    ),
    Kind(
        'annotations of categories that are no classes of the config',
        'name them among the classes of the config, or take them out',
        LEFT_OUT,
    ): (lambda file: file.said('category_id', file.is_listed & ~file.in_class)),
    Kind(
        'annotations whose iscrowd or ignore is neither 0 nor 1',
        "write these as numbers: hosts take any text for 1, '0' too, and scores cannot be computed with null",
    ): (
        lambda file: [
            *file.said('iscrowd', [entry.get('iscrowd', 0) not in (0, 1) for entry in file.placed]),
            # Hosts take an ignore that is null for 0.
            *file.said('ignore', [entry.get('ignore') not in (0, 1, None) for entry in file.placed]),
        ]
    ),
}
# What may be wrong with boxes, and which have it; each is reported once, for the first.
BOXES = {
    Kind('boxes or areas that are no finite numbers', 'write bbox as [x, y, width, height] and area in pixels'): (
        lambda file: ~np.isfinite(np.column_stack([file.start, file.extent, file.areas])).all(1)
    ),
    Kind('boxes of negative width or height', DEGENERATE, LEFT_OUT): lambda file: (file.extent < 0).any(1),
    Kind('boxes under a pixel in width or height', DEGENERATE, LEFT_OUT): lambda file: (file.extent < PIXEL).any(1),
    Kind('boxes wholly outside of the image', DEGENERATE, LEFT_OUT): (
        lambda file: ((file.start + file.extent <= 0) | (file.start >= file.frames)).any(1)
    ),
    Kind('areas of zero or less', DEGENERATE, LEFT_OUT): lambda file: file.areas <= 0,
    Kind('boxes partly outside of the image', 'resizing clips them', REPAIRED): (
        lambda file: (np.maximum(-file.start, file.start + file.extent - file.frames) > PIXEL).any(1)
    ),
}
# Likewise, of files that scores are computed from.
PROBLEMS_OF_SCORES = {
    # pycocotools notes in an array, at first of zeros, which annotation each detection matches.
    Kind(
        'annotations of id 0 in a set that is scored',
        'number annotations from 1: pycocotools takes an object of id 0 that was found for one that was not',
    ): (lambda file: ids_of(file, lambda ids: [value for value in ids if value == 0], 'annotations')),
    Kind(
        'annotation ids that are no finite numbers, in a set that is scored',
        'number annotations from 1: pycocotools writes their ids into arrays of numbers',
    ): (lambda file: ids_of(file, lambda ids: [value for value in ids if not is_number(value)], 'annotations')),
    Kind(
        'ids that are text beside numbers, or numbers beside text, in a set that is scored',
        'write all in the same way: pycocotools sorts them',
    ): (lambda file: ids_of(file, mixed, 'images', 'categories')),
    Kind(
        'ids that NumPy rounds or cuts, in a set that is scored',
        'use whole numbers below 2**53: pycocotools would not find what belongs to these',
    ): (lambda file: ids_of(file, changed_by_numpy, 'images', 'categories')),
}
NOTHING = Kind('nothing to train on', 'no annotation is left of what the config asks for')


def check_coco(
    dataset: BaseDataset, settings: ConfigDict, content: Entry, is_scored: bool, report: Report
) -> list[Picture]:
    """Report what is wrong with the content of a CocoDataset's file; the images that have a size and are there."""
    place = dataset.ann_file
    entries = select_entries(place, content, is_scored, report)
    if entries is None:
        return []
    file = CocoFile(*entries, dataset.metainfo.get('classes'), is_scored)
    for kind, test in (PROBLEMS | PROBLEMS_OF_SCORES if is_scored else PROBLEMS).items():
        report.add(kind, place, test(file))
    for kind, has_it in BOXES.items():
        found = file.sound & has_it(file)
        report.add(kind, place, file.said('bbox', found))
        if kind.outcome is not REPAIRED:
            file.sound &= ~found
    is_used = file.sound & file.in_class & ~file.flagged('ignore')
    # Training gets crowds with their masks, though not as objects to find.
    if not is_scored and not (is_used & ~file.flagged('iscrowd')).any():
        report.add(NOTHING, place)
    if not is_scored:
        report.passed_over.update(passed_over(file, dataset.filter_cfg or {}))
    if any(step.get('with_mask') for step in steps_of(settings)):
        check_masks(file, is_used | is_scored, place, report)
    # As the hosts join them.
    folder, sized = dataset.data_prefix.get('img', ''), np.flatnonzero(~np.isnan(file.sizes[:, 0]))
    paths = [os.path.join(folder, file.images[number]['file_name']) for number in sized]  # noqa: PTH118
    absent = check_presence(place, paths, report)
    sizes = file.sizes[sized].astype(int).tolist()
    return [Picture(path, tuple(size)) for path, size in zip(paths, sizes, strict=True) if path not in absent]


def passed_over(file: CocoFile, filter_cfg: Mapping[str, Any]) -> dict[str, int]:
    """How many images mmdet's filter takes out of a training set, and why."""
    seen = {entry['image_id'] for entry, is_known in zip(file.placed, file.in_class, strict=True) if is_known}
    is_empty = np.array([image['id'] not in seen for image in file.images], bool) & filter_cfg.get(
        'filter_empty_gt', False
    )
    is_small = file.sizes.min(1, initial=np.inf) < filter_cfg.get('min_size', 0)
    return {'without an object': int(is_empty.sum()), 'under min_size': int((is_small & ~is_empty).sum())}


def as_numbers(values: Sequence[Any], width: int) -> NDArray[np.float64]:
    """Rows of so many numbers as an array, (rows, width); NaN in every row that is something else.

    One row that is something else makes it slow: each is then looked at by itself.
    """
    try:
        array = np.array(values)
    except ValueError:
        array = np.empty(0)
    if array.dtype.kind in 'iuf' and array.size == len(values) * width:
        return array.reshape(len(values), width).astype(np.float64)
    rows = [row if width > 1 else [row] for row in values]
    rows = [row if isinstance(row, list) and len(row) == width and all(map(is_number, row)) else None for row in rows]
    return np.array([row or [np.nan] * width for row in rows], np.float64).reshape(-1, width)


def is_number(value: Any) -> bool:
    """Whether something is a number that fits into a float; truth values are none."""
    return type(value) in (int, float) and abs(value) < sys.float_info.max


NO_MASK = Kind(
    'annotations without a mask (segmentation), which the config loads',
    'with boxes only, start from configs/custom_coco_boxonly.py',
)
NO_POLYGONS = Kind(
    'masks that are neither lists of polygons nor run lengths',
    'write [[x1, y1, x2, y2, x3, y3, ...], ...] in finite numbers, or {"size": [height, width], "counts": ...}',
)
FAR_OUTSIDE = Kind(
    'masks with polygons that reach out of the image by more than its longer side',
    'correct them: drawing them takes memory in proportion to their length',
)
SHORT = Kind(
    'masks with polygons of fewer than six numbers, or of an odd number',
    'training leaves the polygons out, and objects that have no other',
    LEFT_OUT,
)
SHORT_IN_SCORES = Kind(SHORT.what, 'remove these polygons: scores of masks cannot be computed with them')
BROKEN_RUNS = Kind("run lengths that do not make up a mask of the image's height and width", 'encode these masks again')
# What may be wrong with polygons, and whether it is, in an image of such a longer side; the first that fits is said.
POLYGONS = {
    NO_MASK: lambda polygons, _: not polygons,
    NO_POLYGONS: lambda polygons, _: not are_finite(polygons),
    FAR_OUTSIDE: lambda polygons, side: any(min(p) < -side or max(p) > 2 * side for p in polygons if p),
    SHORT: lambda polygons, _: any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons),
}


def check_masks(file: CocoFile, concerned: NDArray[np.bool_], place: str, report: Report) -> None:
    """Report masks that cannot be drawn, or are not the image's."""
    found = {kind: [] for kind in (*POLYGONS, BROKEN_RUNS)}
    frames = file.frames.astype(int).tolist()
    for number in np.flatnonzero(concerned):
        width, height = frames[number]
        mask = file.placed[number].get('segmentation')
        if isinstance(mask, dict):
            kind = None if is_whole(mask, height, width) else BROKEN_RUNS
        else:
            kind = next((kind for kind, has_it in POLYGONS.items() if has_it(mask, max(width, height))), None)
        if kind is not None:
            found[kind].append(f'annotation {file.placed[number]["id"]}')
    for kind, words in found.items():
        report.add(SHORT_IN_SCORES if kind is SHORT and file.is_scored else kind, place, words)


def are_finite(polygons: Any) -> bool:
    """Whether something is a list of lists of finite numbers."""
    try:
        return isinstance(polygons, list) and all(isinstance(each, list) and isfinite(sum(each)) for each in polygons)
    # No numbers, or a whole number that is too large for a float.
    except (TypeError, OverflowError):
        return False


def is_whole(mask: Entry, height: int, width: int) -> bool:
    """Whether run lengths, in a list or compressed, are of an image's size and add up to all of its pixels."""
    counts = mask.get('counts')
    counts = decompressed(counts) if isinstance(counts, str) else counts
    if mask.get('size') != [height, width] or not isinstance(counts, list):
        return False
    return all(isinstance(count, int) and count >= 0 for count in counts) and sum(counts) == height * width


def decompressed(string: str) -> list[int] | None:
    """The lengths that compressed run lengths stand for; None for a string that is none.

    Written from the description of the format in COCO's ``maskApi.h``: from the fourth length on what is written is the
    difference to the length two before. pycocotools decodes '' and '~~~~' without an error, into uninitialised memory.
    """
    lengths, length, bits = [], 0, 0
    for character in string.encode():
        # 48 and six bits: five of a number, the lowest five first, and one that says that more follow. Seven characters
        # are more than the 32 bits that pycocotools counts in.
        code = character - 48
        if not 0 <= code < 64 or bits > 25:
            return None
        length |= (code & 31) << bits
        bits += 5
        if not code & 32:
            length -= (code & 16) << (bits - 4)  # the sign
            lengths.append(length + (lengths[-2] if len(lengths) > 2 else 0))
            length, bits = 0, 0
    return lengths if lengths and not bits else None
