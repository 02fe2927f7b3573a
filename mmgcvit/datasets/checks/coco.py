"""Numbers of annotations as arrays."""

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isfinite
from numbers import Integral, Real
from reprlib import repr as brief
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from .images import Picture, check_presence
from .problems import Kind, Outcome, Report
from .sources import steps_of


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
    nothing = [np.nan] * width
    return np.array([row if is_row(row, width) else nothing for row in rows], dtype=np.float64).reshape(-1, width)


def is_row(row: Any, width: int) -> bool:
    """Whether something is a list of so many numbers."""
    return isinstance(row, list) and len(row) == width and all(is_number(value) for value in row)


def is_number(value: Any) -> bool:
    """Whether something is a number that fits into a float; truth values are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and abs(value) < sys.float_info.max


# Each character is 48 and six bits: five of a number, the lowest five first, and one that says that more follow.
FIRST_CHARACTER, BITS = 48, 5
MORE, SIGN, DATA = 0x20, 0x10, 0x1F
# Seven characters are more than the 32 bits that pycocotools counts in.
LONGEST_NUMBER = 7
MASKS_AT_ONCE = 20_000


def are_whole(masks: Sequence[Any], sizes: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
    """Whether masks are of their images' sizes and their lengths add up to all pixels.

    Args:
        masks: Dicts as COCO has them: ``size`` (height, width), and ``counts`` as a list or a compressed string.
        sizes: The height and width of each mask's image.

    Returns:
        (masks,)
    """
    whole = np.zeros(len(masks), dtype=bool)
    compressed = []
    for number, (mask, size) in enumerate(zip(masks, sizes, strict=True)):
        if not isinstance(mask, dict) or mask.get('size') != list(size):
            continue
        counts = mask.get('counts')
        if isinstance(counts, list):
            whole[number] = all(isinstance(n, Integral) and n >= 0 for n in counts) and sum(counts) == size[0] * size[1]
        elif isinstance(counts, str):
            compressed.append(number)
    for start in range(0, len(compressed), MASKS_AT_ONCE):
        part = compressed[start : start + MASKS_AT_ONCE]
        pixels = np.array([sizes[number][0] * sizes[number][1] for number in part])
        whole[part] = numbers_of_pixels([masks[number]['counts'] for number in part]) == pixels
    return whole


def numbers_of_pixels(strings: Sequence[str]) -> NDArray[np.int64]:
    """How many pixels compressed masks speak of; -1 for a string that is none.

    Written from the description of the format in COCO's ``maskApi.h``: from the fourth length on what is written is the
    difference to the length two before.

    Returns:
        (strings,)
    """
    whole = np.array([is_well_formed(string) for string in strings], dtype=bool)
    sums = np.full(len(strings), -1)
    if whole.any():
        kept = [string for string, is_whole in zip(strings, whole, strict=True) if is_whole]
        mask_of_number, numbers = written_numbers(kept)
        sums[whole] = sums_of_lengths(mask_of_number, numbers, len(kept))
    return sums


def is_well_formed(string: str) -> bool:
    """Whether a string has only the format's characters and ends with the end of a number."""
    if not string or not string.isascii():
        return False
    codes = np.frombuffer(string.encode(), dtype=np.uint8) - np.uint8(FIRST_CHARACTER)
    ends = np.flatnonzero((codes & MORE) == 0)
    if (codes > (MORE | DATA)).any() or not ends.size or ends[-1] != codes.size - 1:
        return False
    return np.diff(ends, prepend=-1).max() < LONGEST_NUMBER


def written_numbers(strings: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers that well-formed strings write, one string after the other.

    Returns:
        For each number that of its string, and the number itself.
    """
    codes = np.frombuffer(''.join(strings).encode(), dtype=np.uint8).astype(np.int64) - FIRST_CHARACTER
    ends = np.flatnonzero((codes & MORE) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])
    lengths = ends - starts + 1
    places = np.arange(codes.size) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((codes & DATA) << (BITS * places), starts)
    is_negative = (codes[ends] & SIGN) != 0
    numbers -= np.where(is_negative, np.int64(1) << (BITS * lengths), 0)
    string_of_code = np.repeat(np.arange(len(strings)), [len(string) for string in strings])
    return string_of_code[ends], numbers


def sums_of_lengths(mask_of_number: NDArray[np.int64], numbers: NDArray[np.int64], num_masks: int) -> NDArray[np.int64]:
    """The sum of each mask's lengths, (masks,); -1 for a mask that has a negative one.

    Lengths follow from differences along three chains in each mask: the first length by itself, those at odd places,
    and those at even places from the third on.
    """
    first = np.searchsorted(mask_of_number, np.arange(num_masks))
    place = np.arange(numbers.size) - first[mask_of_number]
    chain = 3 * mask_of_number + np.where(place == 0, 0, 2 - place % 2)
    order = np.argsort(chain, kind='stable')
    chain = chain[order]
    running = np.cumsum(numbers[order])
    begins = np.flatnonzero(np.diff(chain, prepend=-1))
    before = np.where(begins > 0, running[begins - 1], 0)
    lengths = running - np.repeat(before, np.diff(begins, append=chain.size))
    sums = np.bincount(mask_of_number[order], weights=lengths, minlength=num_masks).astype(np.int64)
    sums[mask_of_number[order[lengths < 0]]] = -1
    return sums


NO_FLAG = Kind(
    'annotations whose iscrowd or ignore is neither 0 nor 1',
    Outcome.STOPS,
    "write these as numbers: hosts take any text for 1, '0' too, and scores cannot be computed with null",
)


# What each may be. Hosts take an ignore that is null for 0; scores cannot be computed with such an iscrowd.
ALLOWED = {'iscrowd': (0, 1), 'ignore': (0, 1, None)}


def have_flag(place: str, annotations: Sequence[Mapping[str, Any]], key: str, report: Report) -> NDArray[np.bool_]:
    """Whether annotations have a flag set, (annotations,); what is no flag is reported, and none is taken for 0."""
    values = [annotation.get(key, 0) for annotation in annotations]
    odd = [number for number, value in enumerate(values) if value not in ALLOWED[key]]
    if odd:
        report.add(NO_FLAG, place, [f'annotation {annotations[i]["id"]} {key} {brief(values[i])}' for i in odd])
    return np.array([value == 1 for value in values], dtype=bool)


SAME_ID = Kind('ids that are used twice', Outcome.STOPS, 'give each entry an id of its own')
# pycocotools notes in an array, at first of zeros, which annotation each detection matches.
ZERO_ID = Kind(
    'annotations of id 0 in a set that is scored',
    Outcome.STOPS,
    'number annotations from 1: pycocotools takes an object of id 0 that was found for one that was not',
)
NO_NUMBER = Kind(
    'annotation ids that are no finite numbers, in a set that is scored',
    Outcome.STOPS,
    'number annotations from 1: pycocotools writes their ids into arrays of numbers',
)
# pycocotools sorts them, and looks annotations up by what NumPy makes of them.
MIXED = Kind(
    'ids that are text beside numbers, or numbers beside text, in a set that is scored',
    Outcome.STOPS,
    'write all in the same way: pycocotools sorts them',
)
CHANGED = Kind(
    'ids that NumPy rounds or cuts, in a set that is scored',
    Outcome.STOPS,
    'use whole numbers below 2**53: pycocotools would not find what belongs to these',
)


def check_ids(place: str, name: str, entries: Sequence[Mapping[str, Any]], report: Report) -> None:
    """Report ids, and of categories names, that more than one entry has."""
    for key in ('id', 'name') if name == 'categories' else ('id',):
        values = [entry[key] for entry in entries]
        if len(set(values)) < len(values):
            twice = [f'{name} {key} {value}' for value, number in Counter(values).items() if number > 1]
            report.add(SAME_ID, place, twice)


def check_scored_ids(place: str, name: str, entries: Sequence[Mapping[str, Any]], report: Report) -> None:
    """Report ids by which pycocotools computes no scores, or wrong ones."""
    ids = [entry['id'] for entry in entries]
    found = unfit_as_matches(ids) if name == 'annotations' else unfit_to_look_up(ids)
    for kind, concerned in found.items():
        if concerned:
            report.add(kind, place, [f'{name} id {brief(value)}' for value in concerned])


def unfit_as_matches(ids: Sequence[Any]) -> dict[Kind, list[Any]]:
    """Ids that cannot stand in an array of matches in which zero means none."""
    numbers = as_numbers(ids, 1)[:, 0]
    return {
        ZERO_ID: [ids[number] for number in np.flatnonzero(numbers == 0)],
        NO_NUMBER: [ids[number] for number in np.flatnonzero(~np.isfinite(numbers))],
    }


def unfit_to_look_up(ids: Sequence[Any]) -> dict[Kind, list[Any]]:
    """Ids that cannot be sorted, the fewer of text and numbers, and those that an array does not give back."""
    texts = [value for value in ids if isinstance(value, str)]
    numbers = [value for value in ids if not isinstance(value, str)]
    if texts and numbers:
        return {MIXED: min(texts, numbers, key=len)}
    given_back = set(np.unique(ids).tolist())
    return {CHANGED: [value for value in ids if value not in given_back]}


KEYS = {
    'images': ('id', 'file_name', 'height', 'width'),
    'annotations': ('id', 'image_id', 'category_id', 'bbox', 'area'),
    'categories': ('id', 'name'),
}
# What the computation of scores asks for besides.
SCORED_KEYS = ('iscrowd',)
# What an id may be; classes that are compared exactly, because there are millions of ids.
ID = (int, float, str)
# By what entries are told from each other and refer to each other.
IDENTIFYING = {
    'images': {'id': ID, 'file_name': (str,)},
    'annotations': {'id': ID, 'image_id': ID, 'category_id': ID},
    'categories': {'id': ID, 'name': (str,)},
}
NO_ID = Kind('ids that are neither numbers nor text, or names that are no text', Outcome.STOPS, 'correct them')
NO_COCO = Kind(
    "no annotation file in COCO's format", Outcome.STOPS, 'it must hold lists of images, annotations, categories'
)
LACKING = Kind('entries that lack a key', Outcome.STOPS, 'add what is missing')


def entries_of(
    place: str, content: Mapping[str, Any], is_scored: bool, report: Report
) -> tuple[list[dict], list[dict], list[dict]] | None:
    """Images, annotations and categories that have all keys; None where they say too little."""
    missing = [name for name in KEYS if not isinstance(content.get(name), list)]
    if is_scored and missing == ['annotations']:
        report.note(f'{place} has no annotations: there is nothing to score against')
        content, missing = {**content, 'annotations': []}, []
    if missing:
        report.add(NO_COCO, place, [f'no {name}' for name in missing])
        return None
    whole = {}
    for name, keys in KEYS.items():
        asked = keys + SCORED_KEYS if is_scored and name == 'annotations' else keys
        whole[name] = with_keys(place, name, content[name], asked, report)
    odd = sum(count_odd_names(place, name, entries, report) for name, entries in whole.items())
    if odd or any(len(whole[name]) < len(content[name]) for name in ('images', 'categories')):
        # What annotations refer to would seem to be missing.
        return None
    return tuple(whole.values())


def with_keys(
    place: str, name: str, entries: Sequence[Any], keys: Sequence[str], report: Report
) -> list[dict[str, Any]]:
    """The entries that are dicts and have all keys."""
    asked = frozenset(keys)
    whole = [entry for entry in entries if isinstance(entry, dict) and asked <= entry.keys()]
    if len(whole) < len(entries):
        lacking = [
            lack(name, number, entry, asked)
            for number, entry in enumerate(entries)
            if not isinstance(entry, dict) or not asked <= entry.keys()
        ]
        report.add(LACKING, place, lacking)
    return whole


def count_odd_names(place: str, name: str, entries: Sequence[Mapping[str, Any]], report: Report) -> int:
    """How many ids and names, by which entries are told from each other, can be none; they are reported."""
    odd = [
        f'{name}[{number}] {key} {entry[key]!r}'
        for key, allowed in IDENTIFYING[name].items()
        for number, entry in enumerate(entries)
        if type(entry[key]) not in allowed
    ]
    if odd:
        report.add(NO_ID, place, odd)
    return len(odd)


def lack(name: str, number: int, entry: Any, keys: frozenset[str]) -> str:
    """What an entry lacks, in words."""
    if not isinstance(entry, dict):
        return f'{name}[{number}] is no object'
    missing = ' and '.join(repr(key) for key in sorted(keys - entry.keys()))
    return f'{name}[{number}] (id {entry.get("id")}) has no {missing}'


NO_SUCH_CATEGORY = Kind(
    'has no category of the name of a class', Outcome.STOPS, 'spell metainfo.classes and the categories alike'
)
OTHER_ORDER = Kind(
    'categories in another order than the classes of the config',
    Outcome.STOPS,
    "sort metainfo.classes as the file's categories: hosts number labels by the file, and names would be swapped",
)
UNKNOWN_CATEGORY = Kind(
    'annotations of categories that the file does not list', Outcome.STOPS, 'list them under categories'
)
OTHER_CATEGORY = Kind(
    'annotations of categories that are no classes of the config', Outcome.LEFT_OUT, 'name them under metainfo.classes'
)
# Of categories in a complaint.
MOST_NAMES = 20


def check_categories(
    place: str, categories: Sequence[Mapping[str, Any]], classes: Sequence[str] | None, report: Report
) -> None:
    """Compare the file's categories with the config's classes: hosts label objects by the order in the file."""
    if not classes:
        return
    names = [category['name'] for category in categories]
    absent = [name for name in classes if name not in names]
    if absent:
        has = ', '.join(map(repr, names[:MOST_NAMES])) + (', ...' if len(names) > MOST_NAMES else '')
        report.add(NO_SUCH_CATEGORY, place, [f'{absent[0]!r} (it has: {has})', *map(repr, absent[1:])])
        return
    common = [name for name in names if name in classes]
    # Of different lengths where names are used twice, which is reported as such.
    pairs = zip(common, classes, strict=False)
    wrong = [f'{name!r} would be called {called!r}' for name, called in pairs if name != called]
    if wrong:
        report.add(OTHER_ORDER, place, wrong)


def check_references(
    place: str,
    annotations: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
    classes: Sequence[str] | None,
    report: Report,
) -> NDArray[np.bool_]:
    """Whether each annotation's category is a class of the config, (annotations,)."""
    name_of = {category['id']: category['name'] for category in categories}
    classes = set(classes or name_of.values())
    named = [name_of.get(annotation['category_id']) for annotation in annotations]
    is_known = np.array([name is not None for name in named], dtype=bool)
    is_class = np.array([name in classes for name in named], dtype=bool)
    for kind, concerned in ((UNKNOWN_CATEGORY, ~is_known), (OTHER_CATEGORY, is_known & ~is_class)):
        found = [annotations[number] for number in np.flatnonzero(concerned)]
        if found:
            report.add(kind, place, [f'annotation {entry["id"]} of category {entry["category_id"]}' for entry in found])
    return is_class


NOT_FINITE = Kind(
    'boxes or areas that are no finite numbers', Outcome.STOPS, 'write bbox as [x, y, width, height] and area in pixels'
)
DEGENERATE = 'training leaves them out, scores count them'
NEGATIVE = Kind('boxes of negative width or height', Outcome.LEFT_OUT, DEGENERATE)
TOO_SMALL = Kind('boxes under a pixel in width or height', Outcome.LEFT_OUT, DEGENERATE)
OUTSIDE = Kind('boxes wholly outside of the image', Outcome.LEFT_OUT, DEGENERATE)
NO_AREA = Kind('areas of zero or less', Outcome.LEFT_OUT, DEGENERATE)
OVER_THE_EDGE = Kind('boxes partly outside of the image', Outcome.REPAIRED, 'resizing clips them')
# Rounded numbers reach over the edge by less, and COCO's own do.
PIXEL = 1.0


def check_boxes(
    place: str, annotations: Sequence[Mapping[str, Any]], sizes: NDArray[np.float64], report: Report
) -> NDArray[np.bool_]:
    """Report boxes that cannot be trained on as they are.

    Args:
        place: The annotation file.
        annotations: With ``bbox`` (x, y, width, height in pixels), ``area`` and ``id``.
        sizes: Width and height of each annotation's image, (annotations, 2).
        report: Gets the problems.

    Returns:
        Whether training uses each of them, (annotations,).
    """
    boxes = as_numbers([annotation['bbox'] for annotation in annotations], 4)
    areas = as_numbers([annotation['area'] for annotation in annotations], 1)[:, 0]
    start, extent = boxes[:, :2], boxes[:, 2:]
    left = np.isfinite(boxes).all(1) & np.isfinite(areas)
    inside = np.minimum(start + extent, sizes) - np.maximum(start, 0)
    over = np.maximum(-start, start + extent - sizes).max(1)
    checks = {
        NOT_FINITE: ~left,
        NEGATIVE: (extent < 0).any(1),
        TOO_SMALL: (extent < PIXEL).any(1),
        OUTSIDE: (inside <= 0).any(1),
        NO_AREA: areas <= 0,
    }
    for kind, has_it in checks.items():
        # Each box is reported once, for the first that is wrong with it.
        concerned = has_it if kind is NOT_FINITE else has_it & left
        add(report, kind, place, annotations, concerned, 'bbox')
        left &= ~has_it
    add(report, OVER_THE_EDGE, place, annotations, left & (over > PIXEL), 'bbox')
    return left


def add(
    report: Report,
    kind: Kind,
    place: str,
    annotations: Sequence[Mapping[str, Any]],
    concerned: NDArray[np.bool_],
    key: str,
) -> None:
    """Report some of the annotations by their ids and what they say under a key."""
    found = [f'annotation {annotations[i]["id"]} {brief(annotations[i][key])}' for i in np.flatnonzero(concerned)]
    if found:
        report.add(kind, place, found)


NO_MASK = Kind(
    'annotations without a mask (segmentation), which the config loads',
    Outcome.STOPS,
    'with boxes only, start from configs/custom_coco_boxonly.py',
)
SHORT = Kind(
    'masks with polygons of fewer than six numbers, or of an odd number',
    Outcome.LEFT_OUT,
    'training leaves the polygons out, and objects that have no other',
)
SHORT_IN_SCORES = Kind(SHORT.what, Outcome.STOPS, 'remove these polygons: scores of masks cannot be computed with them')
NO_POLYGONS = Kind(
    'masks that are neither lists of polygons nor run lengths',
    Outcome.STOPS,
    'write [[x1, y1, x2, y2, x3, y3, ...], ...] in finite numbers, or {"size": [height, width], "counts": ...}',
)
FAR_OUTSIDE = Kind(
    'masks with polygons that reach out of the image by more than its longer side',
    Outcome.STOPS,
    'correct them: drawing them takes memory in proportion to their length',
)
BROKEN_RUNS = Kind(
    "run lengths that do not make up a mask of the image's height and width", Outcome.STOPS, 'encode these masks again'
)


def check_masks(
    place: str,
    annotations: Sequence[Mapping[str, Any]],
    sizes: NDArray[np.float64],
    is_scored: bool,
    report: Report,
) -> None:
    """Report masks that cannot be drawn, or are not the image's.

    Args:
        place: The annotation file.
        annotations: With ``id``, and ``segmentation`` if all is well.
        sizes: Width and height of each annotation's image, (annotations, 2).
        is_scored: Whether scores are computed against them, which bears less than training.
        report: Gets the problems.
    """
    found = {NO_MASK: [], SHORT_IN_SCORES if is_scored else SHORT: [], NO_POLYGONS: [], FAR_OUTSIDE: []}
    runs = []
    longer_sides = sizes.max(1).tolist()
    for number, annotation in enumerate(annotations):
        mask = annotation.get('segmentation')
        if isinstance(mask, dict):
            runs.append(number)
            continue
        kind = problem_of_polygons(mask, longer_sides[number])
        if kind is not None:
            found[SHORT_IN_SCORES if kind is SHORT and is_scored else kind].append(number)
    shapes = [(int(height), int(width)) for width, height in sizes[runs].tolist()]
    whole = are_whole([annotations[number]['segmentation'] for number in runs], shapes)
    found[BROKEN_RUNS] = [number for number, is_whole in zip(runs, whole, strict=True) if not is_whole]
    for kind, numbers in found.items():
        if numbers:
            report.add(kind, place, [f'annotation {annotations[number]["id"]}' for number in numbers])


def problem_of_polygons(polygons: Any, side: float) -> Kind | None:
    """What is wrong with an annotation's polygons, in an image whose longer side is given."""
    if not polygons:
        return NO_MASK
    if not isinstance(polygons, list) or not all(isinstance(polygon, list) for polygon in polygons):
        return NO_POLYGONS
    try:
        is_finite = all(isfinite(sum(polygon)) for polygon in polygons)
    # A whole number may be too large for a float.
    except (TypeError, OverflowError):
        return NO_POLYGONS
    if not is_finite:
        return NO_POLYGONS
    if any(min(polygon) < -side or max(polygon) > 2 * side for polygon in polygons if polygon):
        return FAR_OUTSIDE
    return SHORT if any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons) else None


NO_SIZE = Kind('images without a width and height above zero', Outcome.STOPS, 'write both in pixels, as whole numbers')
UNKNOWN_IMAGE = Kind('annotations of images that the file does not list', Outcome.LEFT_OUT, 'list them under images')
NOTHING = Kind('nothing to train on', Outcome.STOPS, 'no annotation is left of what the config asks for')


def check_coco(
    dataset: BaseDataset, settings: ConfigDict, content: Mapping[str, Any], is_scored: bool, report: Report
) -> list[Picture]:
    """Report what is wrong with an annotation file; the images that it names.

    Args:
        dataset: mmdet's CocoDataset or one derived from it, not yet loaded.
        settings: What it was built from.
        content: The file's content.
        is_scored: Whether scores are computed from it, as of a validation's.
        report: Gets the problems.
    """
    place = dataset.ann_file
    entries = entries_of(place, content, is_scored, report)
    if entries is None:
        return []
    images, annotations, categories = entries
    for name, found in zip(KEYS, entries, strict=True):
        check_ids(place, name, found, report)
        if is_scored:
            check_scored_ids(place, name, found, report)
    check_categories(place, categories, dataset.metainfo.get('classes'), report)
    sizes = sizes_of(place, images, report)
    annotations, sizes_of_annotations = with_images(place, annotations, images, sizes, report)
    is_used = check_boxes(place, annotations, sizes_of_annotations, report)
    is_used &= check_references(place, annotations, categories, dataset.metainfo.get('classes'), report)
    is_used &= ~have_flag(place, annotations, 'ignore', report)
    # Training gets crowds with their masks, though not as objects to find.
    is_object = is_used & ~have_flag(place, annotations, 'iscrowd', report)
    if not is_scored and not is_object.any():
        report.add(NOTHING, place)
    if any(step.get('with_mask') for step in steps_of(settings)):
        kept = [annotation for annotation, used in zip(annotations, is_used, strict=True) if used or is_scored]
        check_masks(place, kept, sizes_of_annotations[is_used | is_scored], is_scored, report)
    return pictures_of(place, dataset, images, sizes, report)


def sizes_of(place: str, images: Sequence[Mapping[str, Any]], report: Report) -> NDArray[np.float64]:
    """The images' widths and heights, (images, 2); NaN for those that have none."""
    sizes = np.stack([as_numbers([image[key] for image in images], 1)[:, 0] for key in ('width', 'height')], axis=1)
    is_sized = np.isfinite(sizes).all(1) & (sizes >= 1).all(1) & (sizes == np.floor(sizes)).all(1)
    wrong = [images[number] for number in np.flatnonzero(~is_sized)]
    if wrong:
        report.add(NO_SIZE, place, [f'{image["file_name"]} {image["width"]} x {image["height"]}' for image in wrong])
    sizes[~is_sized] = np.nan
    return sizes


def with_images(
    place: str,
    annotations: Sequence[dict[str, Any]],
    images: Sequence[Mapping[str, Any]],
    sizes: NDArray[np.float64],
    report: Report,
) -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
    """The annotations whose images are known and have sizes, and these sizes, (annotations, 2)."""
    place_of = {image['id']: number for number, image in enumerate(images)}
    numbers = np.array([place_of.get(annotation['image_id'], -1) for annotation in annotations], dtype=np.int64)
    strays = [annotations[number] for number in np.flatnonzero(numbers < 0)]
    if strays:
        report.add(UNKNOWN_IMAGE, place, [f'annotation {stray["id"]} of image {stray["image_id"]}' for stray in strays])
    sizes = np.concatenate([sizes, np.full((1, 2), np.nan)])[numbers]
    kept = np.flatnonzero(np.isfinite(sizes).all(1))
    return [annotations[number] for number in kept], sizes[kept]


def pictures_of(
    place: str,
    dataset: BaseDataset,
    images: Sequence[Mapping[str, Any]],
    sizes: NDArray[np.float64],
    report: Report,
) -> list[Picture]:
    """The image files that have a size and are there; the others are reported."""
    folder = dataset.data_prefix.get('img', '')
    known = np.flatnonzero(np.isfinite(sizes).all(1))
    # As the hosts join them.
    paths = [os.path.join(folder, images[number]['file_name']) for number in known]  # noqa: PTH118
    absent = check_presence(place, paths, report)
    return [
        Picture(path, annotated=(int(width), int(height)))
        for path, (width, height) in zip(paths, sizes[known].tolist(), strict=True)
        if path not in absent
    ]
