"""Find images that are a series by their names, such as the frames of a video."""

import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from ..datasets.records import Split

# What is cut off the end of a name: that of Roboflow's augmented copies, as _jpg.rf.HASH.jpg, or the
# suffix.
COPY_ENDING = re.compile(r'((_[a-z]+)?\.rf\.[^/]*|\.\w+)$', re.IGNORECASE)
# Any name matches:
#     name            start    number   words
#     cam_0012_left   cam_     0012     _left
#     img_1_2         img_1_   2
#     clip 1.250s     clip     1.250
#     0001                     0001
#     sunset          sunset
NUMBERED = re.compile(
    r"""
    (?P<start>.*?)
    ((?P<number>(\d+\.)?\d+) m?s?\)?            # also 1.250s, 1250ms and (12)
    (?P<words>([_-](leftImg8bit|[a-z]+))*) )?
    """,
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
# Label Studio puts eight hex digits and a hyphen at the start of the names of files. They are cut off
# if at least one name has a letter among them: eight decimal digits may be a date.
UPLOAD_PREFIX = re.compile(r'(?<![^/])[0-9a-f]{8}-')
NO_DATE_PREFIX = re.compile(r'(?<![^/])(?!\d{8}-)[0-9a-f]{8}-')


def list_stems(split: Split) -> list[str]:
    """Return the paths of images, relative to their folder, without suffixes, and without what tools
    add to their names.
    """
    # Names of images outside of the image folder are absolute.
    folder = split.image_folder
    names = [os.path.relpath(folder / name, folder) for name in split.image_names]
    if any(map(NO_DATE_PREFIX.search, names)):
        names = [UPLOAD_PREFIX.sub('', name) for name in names]
    return [COPY_ENDING.sub('', name) for name in names]


def find_series(names: Mapping[int, str]) -> dict[str, list[tuple[float, int]]]:
    """Return the images of each series, as (number, index), by the start of their names.

    Frames of a video, pictures of a burst and copies of an image look alike. Their names begin
    alike, and differ in a number, and maybe in words after it, as cam_0012_left and cam_0013_right
    do: they are a series. But if there are more different words than numbers, as in plate_1_cat,
    plate_1_dog and plate_1_owl, the words tell what is in an image. Then each image is a series of
    its own, by its whole name.

    For ``{0: 'cam_1', 1: 'cam_2', 2: 'sunset'}``, these are
    ``{'cam_': [(1.0, 0), (2.0, 1)], 'sunset': [(0.0, 2)]}``.
    """
    series = defaultdict(list)
    words = defaultdict(set)
    for index, name in names.items():
        match = NUMBERED.fullmatch(name)
        series[match['start']].append((float(match['number'] or 0), index))
        words[match['start']].add(match['words'] or '')
    found = defaultdict(list)
    for start, members in series.items():
        numbers = {number for number, _ in members}
        are_alike = len(words[start]) <= len(numbers)
        for number, index in members:
            key = start if are_alike else names[index]
            found[key].append((number, index))
    return found


def divide_series(members: Sequence[tuple[float, int]], num_parts: int) -> dict[int, list[int]]:
    """Return the indices of the images in each part of a series.

    A part has consecutive numbers. Images with the same number are in one part, so there may be
    fewer parts.

    Args:
        members: The (number, index) of each image.
        num_parts: The number of parts that are wanted.
    """
    numbers = sorted({number for number, _ in members})
    num_parts = min(num_parts, len(numbers))
    part_of = {number: rank * num_parts // len(numbers) for rank, number in enumerate(numbers)}
    parts = defaultdict(list)
    for number, index in members:
        parts[part_of[number]].append(index)
    return parts
