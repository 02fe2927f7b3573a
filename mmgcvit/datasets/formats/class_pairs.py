"""Reject class folders that are photos and their maps, and thus no classes.

Both have the same size and similar names: a.jpg and a.png, a.jpg and a_mask.png, or img_1.jpg and
gt_1.png.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ...errors import UserError
from ..decoding import read_sizes
from ..layouts import Pair

MIN_PAIRS = 0.9  # the share of images with a partner from which two folders are not classes
FileByKey = dict[str, Path]  # the first file with each key


def check_no_pairs(root: Path, images: Mapping[str, Sequence[Path]]) -> None:
    """Raise a UserError if nearly all images of a folder have a partner in another folder.

    Partners are a photo and its map: they have the same size, and their names only differ in their
    first or last part (:class:`NameIndex`). With ``--task classify``, this is not called.
    """
    index = NameIndex({}, {}, {})  # of the images in the folders before
    for name in sorted(images):
        pairs = defaultdict(list)  # the images with a partner, by the folder of the latter
        for file in images[name]:
            partner = index.find_partner(file)
            if partner:
                pairs[partner.parent.name].append((root / file, root / partner))
        for file in images[name]:
            index.add(file)
        if pairs:
            other = max(pairs, key=lambda other: len(pairs[other]))
            num_files = min(len(images[name]), len(images[other]))
            check_sizes_differ(pairs[other], num_files)


class NameIndex(NamedTuple):
    """Files by their names, and by these without their last or first part (:func:`list_keys`)."""

    by_name: FileByKey
    by_start: FileByKey
    by_end: FileByKey

    def add(self, file: Path) -> None:
        for index, key in zip(self, list_keys(file), strict=True):
            index.setdefault(key, file)

    def find_partner(self, file: Path) -> Path | None:
        """Return a file whose name is that of a partner, or None.

        Files whose names differ in their first part must be of different types.
        """
        name, start, end = list_keys(file)
        partner = (
            self.by_name.get(name)  # a.png for a.jpg
            or self.by_name.get(start)  # a.jpg for a_mask.png
            or self.by_start.get(name)  # a_mask.png for a.jpg
        )
        if partner or not end:
            return partner
        similar = self.by_end.get(end)  # gt_1.png for img_1.jpg
        return similar if similar and similar.suffix != file.suffix else None


def list_keys(file: Path) -> tuple[str, str, str]:
    """Return the keys of a file in the three dicts of a :class:`NameIndex`.

    For img_1_mask.png, these are img_1_mask, img_1 and 1_mask.
    """
    name = file.stem
    return name, name.rpartition('_')[0], name.partition('_')[2]


def check_sizes_differ(pairs: Sequence[Pair], num_files: int) -> None:
    """Raise a UserError if nearly all files of a folder have a partner of the same size.

    Args:
        pairs: Images of a folder with their partners in another one.
        num_files: The number of images in the smaller folder.
    """
    if len(pairs) < MIN_PAIRS * num_files:
        return  # no need to read the files
    num_same = sum(have_same_size(*pair) for pair in pairs)
    if num_same >= MIN_PAIRS * num_files:
        image, other = pairs[0]
        raise UserError(
            f'{num_same} of {num_files} images in {image.parent} have a partner of their name and '
            f'size in {other.parent}. Are they images and their maps? Then call the folders images '
            'and masks. Are they classes? Then add --task classify'
        )


def have_same_size(image: Path, other: Path) -> bool:
    """Return whether two images have the same size; False if one cannot be read."""
    with suppress(UserError):
        return read_sizes(image) == read_sizes(other)
    return False
