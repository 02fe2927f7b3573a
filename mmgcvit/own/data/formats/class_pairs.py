"""Reject class folders that are photos and their maps, and thus no classes.

Both have the same size and similar names: a.jpg and a.png, a.jpg and a_mask.png, or img_1.jpg and
gt_1.png.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ....datasets.opening import read_sizes
from ....errors import UserError
from ..layouts import Pair

MIN_PAIRS = 0.9  # the share of images with a partner from which two folders are not classes


def check_no_pairs(root: Path, images: Mapping[str, Sequence[Path]]) -> None:
    """Raise a UserError if nearly all images of a folder have a partner in another folder.

    Partners are a photo and its map: they have the same size, and their names only differ in their
    first or last part (:class:`NameIndex`). With ``--task classify``, this is not called.
    """
    index = NameIndex()  # of the images in the folders before
    for name in sorted(images):
        pairs = {}  # the images with a partner, by the folder of the latter
        for file in images[name]:
            partner = index.find_partner(file)
            if partner:
                pairs.setdefault(partner.parent.name, []).append((root / file, root / partner))
        for file in images[name]:
            index.add(file)
        if pairs:
            other = max(pairs, key=lambda other: len(pairs[other]))
            num_files = min(len(images[name]), len(images[other]))
            check_sizes_differ(pairs[other], num_files)


class NameIndex:
    """Files by their names, and by these without their last or first part.

    For img_1_mask.png, these are img_1_mask, img_1 and 1_mask. Of several files, the first one is
    found.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, Path] = {}
        self.by_start: dict[str, Path] = {}
        self.by_end: dict[str, Path] = {}

    def add(self, file: Path) -> None:
        self.by_name.setdefault(file.stem, file)
        self.by_start.setdefault(get_start(file), file)
        self.by_end.setdefault(get_end(file), file)

    def find_partner(self, file: Path) -> Path | None:
        """Return a file whose name is that of a partner, or None.

        Files whose names differ in their first part must be of different types.
        """
        partner = (
            self.by_name.get(file.stem)  # a.png for a.jpg
            or self.by_name.get(get_start(file))  # a.jpg for a_mask.png
            or self.by_start.get(file.stem)  # a_mask.png for a.jpg
        )
        end = get_end(file)
        if partner or not end:
            return partner
        similar = self.by_end.get(end)  # gt_1.png for img_1.jpg
        return similar if similar and similar.suffix != file.suffix else None


def get_start(file: Path) -> str:
    """Return the name of a file without its last part: img_1 for img_1_mask.png."""
    return file.stem.rpartition('_')[0]


def get_end(file: Path) -> str:
    """Return the name of a file without its first part: 1_mask for img_1_mask.png."""
    return file.stem.partition('_')[2]


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
