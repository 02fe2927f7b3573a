"""Find images that belong together by their names: frames of a video, tiles of a picture, copies.

All of them are called a series: images whose names begin alike, and whose position in the series
is a number, a time of day, or the row and column of a tile.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath

from .layouts import get_split
from .records import ClassSplit, Split

# What is cut off the end of a name: that of Roboflow's augmented copies, as _jpg.rf.HASH.jpg, or
# the suffix; then what systems add to copies of files, as in "a - Copy (2)" and "a copy".
COPY_ENDING = re.compile(
    r'((_[a-z]+)?\.rf\.[^/]*|\.\w+)$|(?<=\S)[ _-]+(copy|kopie)([ _]\(?\d+\)?)?(?=\.\w+$|$)',
    re.IGNORECASE,
)
AUGMENTED_COPY = re.compile(r'\.rf\.[^/]*$', re.IGNORECASE)
# Words behind a number, also directly: _left, _leftImg8bit, Z
WORDS = r'(?P<words>(leftImg8bit|[^\W\d]|[ -])*)'
FLAGS = re.IGNORECASE | re.DOTALL | re.VERBOSE
# Any name matches:
#     name            start    number   words
#     cam_0012_left   cam_     0012     _left
#     img_1_2         img_1_   2
#     clip 1.250s     clip     1.250
#     img (3)         img (    3
#     0001                     0001
#     sunset          sunset
NUMBERED = re.compile(
    rf"""
    (?P<start>.*?)
    ((?P<number>(\d+\.)?\d+) m?s?\)? {WORDS})?  # also 1.250s, 1250ms and (12)
    """,
    FLAGS,
)
# A date and a time: 2024-05-01T10-00-03Z, cam_20240501_100003. Its position is the time of day.
TIMED = re.compile(
    rf"""
    (?P<start>(.*\D)? (19|20)\d\d [-_.]? [01]\d [-_.]? [0-3]\d [T _-]?)
    (?P<hour>[01]\d|2[0-3]) [-_.:h]? (?P<minute>[0-5]\d) [-_.:m]?
    (?P<second>[0-5]\d ([.,]\d+)?) {WORDS}
    """,
    FLAGS,
)
# Tiles whose names say so: pic_row1_col2, pic_r1-c2, pic_x0_y256, also with both corners.
MARK = r'rows?|columns?|cols?|[rcxy]'
MARKED_TILE = re.compile(
    rf"""
    (?P<start>.*?) (?<![^\W\d_]) (?P<mark>{MARK}) [_=-]? (?P<first>\d+) [_,.\ -]*
    (?!(?P=mark)) ({MARK}) [_=-]? (?P<second>\d+) ([_,.\ -]* ({MARK}) [_=-]? \d+)* {WORDS}
    """,
    FLAGS,
)
# Tiles with both corners, as SAHI writes them: pic_0_256_512_768.
CORNERS = re.compile(
    rf"""
    (?P<start>.*?[_\ -]) (?P<first>\d+)[_-](?P<second>\d+) [_-](?P<right>\d+)[_-](?P<bottom>\d+)
    {WORDS}
    """,
    FLAGS,
)
# Two numbers behind the name of a picture, as pic_0_256, pic_1-2, pic_1x2. They may also be the
# numbers of a clip and of a frame in it.
PAIR = re.compile(
    rf"""
    (?P<start>(.*/)?[^/]*?[^/_\ -][_\ -]+) (?P<first>\d{{1,5}})[_x,-](?P<second>\d{{1,5}}) {WORDS}
    """,
    FLAGS,
)
# Behind a year, two numbers are a month and a day.
YEAR = re.compile(r'(?<![^\W_])(19|20)\d\d[_-]$')
# Label Studio puts eight hex digits and a hyphen at the start of the names of files. They are cut
# off if at least one name has a letter among them: eight decimal digits may be a date.
UPLOAD_PREFIX = re.compile(r'(?<![^/])[0-9a-f]{8}-')
NO_DATE_PREFIX = re.compile(r'(?<![^/])(?!\d{8}-)[0-9a-f]{8}-')
# A series of images is divided among splits if it has more than this part of the images.
MAX_SERIES = 0.4
# Numbers are those of frames if at least this part of their differences is the most frequent one.
# Those of COCO's images, a fifth of all numbers, are not.
MIN_REGULAR = 0.3
# Two or three images are a series if numbers differ by at most this one, or times by these seconds.
MAX_DIFFERENCE = 10
# Up to this part of the frames of a long series in a split are at its ends.
MAX_BORDERS = 0.25

Position = tuple[float, ...]  # of an image in its series: a number, or a row and a column
Series = dict[str, list[tuple[Position, int]]]  # the (position, index) of images, by their start


@dataclass(frozen=True)
class ParsedName:
    """A name: what its series has in common, and its position there."""

    start: str
    position: Position
    words: str = ''
    is_tile: bool = False
    is_known: bool = False  # a tile or a time, which no other pattern may read


def list_stems(split: Split) -> list[str]:
    """Return the paths of images, relative to their folder, without suffixes, and without what
    tools add to their names.
    """
    # Names of images outside of the image folder are absolute.
    folder = split.image_folder
    names = [image.series_name or image.name for image in split.images]
    names = [os.path.relpath(folder / name, folder) for name in names]
    if any(map(NO_DATE_PREFIX.search, names)):
        names = [UPLOAD_PREFIX.sub('', name) for name in names]
    return [COPY_ENDING.sub('', name) for name in names]


def parse_name(name: str) -> ParsedName:
    """Return the series of a name by the patterns of this file, but for :data:`PAIR`."""
    match = TIMED.fullmatch(name)
    if match:
        minutes = 60 * int(match['hour']) + int(match['minute'])
        seconds = float(match['second'].replace(',', '.'))
        position = (60 * minutes + seconds,)
        return ParsedName(match['start'], position, match['words'], is_known=True)
    match = MARKED_TILE.fullmatch(name)
    if match:
        return make_tile(match)
    match = CORNERS.fullmatch(name)
    if match and has_corners(match):
        return make_tile(match)
    match = NUMBERED.fullmatch(name)
    assert match  # any name matches
    return ParsedName(match['start'], (float(match['number'] or 0),), match['words'] or '')


def has_corners(match: re.Match[str]) -> bool:
    """Return whether the last two of four numbers are the opposite corner of the first two."""
    is_right = int(match['right']) > int(match['first'])
    return is_right and int(match['bottom']) > int(match['second'])


def make_tile(match: re.Match[str]) -> ParsedName:
    position = float(match['first']), float(match['second'])
    return ParsedName(match['start'], position, is_tile=True, is_known=True)


def find_pairs(names: Mapping[int, str]) -> dict[int, ParsedName]:
    """Return the names with two numbers that are the tiles of several pictures (:data:`PAIR`).

    A picture has several rows and several columns. With a single picture, the numbers may as well
    be those of clips and of frames in them.
    """
    matches: dict[int, re.Match[str]] = {}
    for index, name in names.items():
        match = PAIR.fullmatch(name)
        if match and not YEAR.search(match['start']):
            matches[index] = match
    rows = defaultdict(set)
    columns = defaultdict(set)
    for match in matches.values():
        rows[match['start']].add(match['first'])
        columns[match['start']].add(match['second'])
    pictures = {start for start in rows if min(len(rows[start]), len(columns[start])) > 1}
    if len(pictures) < 2:
        return {}
    return {
        index: make_tile(match) for index, match in matches.items() if match['start'] in pictures
    }


def parse_names(names: Mapping[int, str], with_pairs: bool = True) -> dict[int, ParsedName]:
    """Return the series of names, by their indices. ``with_pairs``: see :func:`find_pairs`."""
    parsed = {index: parse_name(name) for index, name in names.items()}
    if not with_pairs:
        return parsed
    others = {index: names[index] for index in names if not parsed[index].is_known}
    return parsed | find_pairs(others)


def find_series(names: Mapping[int, str], with_pairs: bool = True) -> Series:
    """Return the images of each series, as (position, index), by the start of their names.

    Frames of a video, pictures of a burst and copies of an image look alike. Their names begin
    alike, and differ in a number, and maybe in words after it, as cam_0012_left and cam_0013_right
    do: they are a series. But if there are more different words than numbers, as in plate_1_cat,
    plate_1_dog and plate_1_owl, the words tell what is in an image. Then each image is a series of
    its own, by its whole name. The tiles of a picture are a series too.

    For ``{0: 'cam_1', 1: 'cam_2', 2: 'sunset'}``, these are
    ``{'cam_': [((1.0,), 0), ((2.0,), 1)], 'sunset': [((0.0,), 2)]}``.
    """
    series = defaultdict(list)
    for index, parsed in parse_names(names, with_pairs).items():
        series[parsed.start, len(parsed.position)].append((parsed, index))
    found = defaultdict(list)
    for (start, _), members in series.items():
        positions = {parsed.position for parsed, _ in members}
        are_alike = len({parsed.words for parsed, _ in members}) <= len(positions)
        for parsed, index in members:
            key = start if are_alike else names[index]
            found[key].append((parsed.position, index))
    return dict(found)


def divide_series(members: Sequence[tuple[Position, int]], num_parts: int) -> dict[int, list[int]]:
    """Return the indices of the images in each part of a series.

    A part has consecutive positions. Images with the same position are in one part, so there may be
    fewer parts.

    Args:
        members: The (position, index) of each image.
        num_parts: The number of parts that are wanted.
    """
    positions = sorted({position for position, _ in members})
    num_parts = min(num_parts, len(positions))
    part_of = {each: rank * num_parts // len(positions) for rank, each in enumerate(positions)}
    parts = defaultdict(list)
    for position, index in members:
        parts[part_of[position]].append(index)
    return parts


def join_class_folders(names: Mapping[int, str]) -> dict[int, str]:
    """Return the names of images in class folders, without the folder where a series is in several.

    The frames of one clip, sorted into class folders, have different numbers. If a number is in two
    folders, each folder counts its own images. A series that is most of the images, and whose
    numbers are not mixed among the folders, is also left in them: these may be photos of a class,
    and then those of another one.
    """
    bare = {
        index: str(PurePath(name).parent.parent / PurePath(name).name)
        for index, name in names.items()
    }
    joined = dict(names)
    for members in find_series(bare).values():
        folders = [PurePath(names[index]).parent.name for _, index in sorted(members)]
        num_folders = len(set(folders))
        by_position: dict[Position, set[str]] = {}
        for position, index in members:
            by_position.setdefault(position, set()).add(PurePath(names[index]).parent.name)
        are_apart = all(len(own) == 1 for own in by_position.values())
        num_changes = sum(first != second for first, second in pairwise(folders))
        is_part = len(members) <= MAX_SERIES * len(names)
        if num_folders > 1 and are_apart and (is_part or num_changes >= num_folders):
            joined |= {index: bare[index] for _, index in members}
    return joined


@dataclass(frozen=True)
class Divided:
    """Images of a split that are in one series with images for training."""

    kind: str  # 'copies', 'tiles' or 'frames'
    images: Sequence[Path]
    example: tuple[Path, Path]  # one of them, and one for training


def find_divided(splits: Mapping[str, Split], name: str) -> list[Divided]:
    """Return the images of a split that belong to series of training, by kind.

    Numbers that training and the split have in common, with all else of the names, are counted in
    each split, and no series. If a series is most of the images, it may be divided once.

    Args:
        splits: The splits of a dataset.
        name: That of the split, which is not training.
    """
    paths: list[Path] = []
    names: dict[int, str] = {}
    are_held_out: list[bool] = []
    for split_name in ('train', name):
        split = splits[split_name]
        paths += split.image_paths
        for stem in map(remove_split, list_stems(split)):
            names[len(names)] = stem
            are_held_out.append(split_name != 'train')
    if isinstance(splits['train'], ClassSplit):
        names = join_class_folders(names)
    parsed = parse_names(names)
    found: dict[str, list[tuple[int, int]]] = {'copies': [], 'tiles': [], 'frames': []}
    found['copies'] = find_augmented(paths, names, are_held_out)
    copies = {index for index, _ in found['copies']}
    for members in find_series(names).values():
        indices = [index for _, index in members]
        held_out = {names[index] for index in indices if are_held_out[index]}
        trained = {names[index] for index in indices if not are_held_out[index]}
        is_counted_alone = 2 * len(held_out & trained) > min(len(held_out), len(trained))
        if is_counted_alone or copies.intersection(indices):
            continue
        kind = 'tiles' if parsed[indices[0]].is_tile else 'frames'
        is_most = len(members) > MAX_SERIES * len(names)
        found[kind] += find_neighbours(members, are_held_out, kind == 'frames', is_most)
    return [
        Divided(kind, [paths[index] for index, _ in own], (paths[own[0][0]], paths[own[0][1]]))
        for kind, own in found.items()
        if own
    ]


def remove_split(name: str) -> str:
    """Return a path without the folders that are called like a split."""
    *folders, last = PurePath(name).parts
    return str(PurePath(*[folder for folder in folders if not get_split(folder)], last))


def find_augmented(
    paths: Sequence[Path], names: Mapping[int, str], are_held_out: Sequence[bool]
) -> list[tuple[int, int]]:
    """Return the (index of an image, index of a copy for training) of Roboflow's copies."""
    trained: dict[str, int] = {}
    for index, path in enumerate(paths):
        if not are_held_out[index] and AUGMENTED_COPY.search(path.name):
            trained.setdefault(names[index], index)
    return [
        (index, trained[names[index]])
        for index, path in enumerate(paths)
        if are_held_out[index] and AUGMENTED_COPY.search(path.name) and names[index] in trained
    ]


def find_neighbours(
    members: Sequence[tuple[Position, int]],
    are_held_out: Sequence[bool],
    are_frames: bool,
    is_most: bool,
) -> list[tuple[int, int]]:
    """Return the (index of an image, index of one for training beside it) of a series in two
    splits.

    ``is_most``: whether the series is most of the images.
    """
    ordered = [index for _, index in sorted(members)]
    sides = [are_held_out[index] for index in ordered]
    if len(set(sides)) < 2:
        return []
    if are_frames and not is_regular([position for position, _ in members]):
        return []
    pairs: dict[int, int] = {}
    for first, second in pairwise(ordered):
        if are_held_out[first] != are_held_out[second]:
            held_out, trained = (first, second) if are_held_out[first] else (second, first)
            pairs.setdefault(held_out, trained)
    num_runs = sum(
        side and (position == 0 or not sides[position - 1]) for position, side in enumerate(sides)
    )
    if is_most and (num_runs == 1 or len(pairs) <= MAX_BORDERS * sum(sides)):
        return []
    if not is_most:  # all of its images look like those for training
        first_trained = next(index for index in ordered if not are_held_out[index])
        for index in ordered:
            if are_held_out[index]:
                pairs.setdefault(index, first_trained)
    return [*pairs.items()]


def is_regular(positions: Sequence[Position]) -> bool:
    """Return whether positions are those of frames: many have the same difference."""
    numbers = sorted(set(positions))
    differences = Counter(round(b[0] - a[0], 3) for a, b in pairwise(numbers))
    if differences.total() < 3:
        return min(differences, default=0) <= MAX_DIFFERENCE
    return max(differences.values()) >= MIN_REGULAR * differences.total()
