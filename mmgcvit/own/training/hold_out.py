"""Hold out images for validation if a dataset has no validation split.

1. Images are put into groups that stay together, such as the frames of a video. Most groups have
   one image.
2. The groups get an order that does not change from run to run.
3. For each class that validation lacks, it gets the smallest group with this class. Rare classes
   come first.
4. Validation gets further groups, in their order, until it has a fifth of the images.

The last group with a class is never held out: it is for training.

Only images whose labels somebody made or corrected are held out. Others of the same series, whose
labels a model made, are then left out of training.

For example, 100 images with one class are a video of 60 frames, one of 25, one of 10 and one of 5.
The first is over 40 % of the images, so it is divided into five groups of 12. Validation gets the 5
frames, the smallest group. The groups of 12 and of 10 have at most a fifth of the images, so they
come before that of 25. Validation gets them until it has 20 images or more.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import NamedTuple

from ...errors import UserError, format_count
from ..data.records import DatasetInfo
from ..data.series import MAX_SERIES, divide_series, find_series, join_class_folders, list_stems

VAL_FRACTION = 0.2
# Groups are not divided, so the fraction that is held out may differ from this one. It is between
# these two if the sizes of the groups, and of those that each class needs, allow it.
MIN_VAL_FRACTION = 0.1
MAX_VAL_FRACTION = 0.3
# From this difference to a fifth on, a note says why.
MAX_DEVIATION = 0.05


def split_validation(dataset: DatasetInfo) -> DatasetInfo:
    """Return a dataset with a validation split: its own, or a fifth of the training images.

    Of class folders, it is a fifth of the images of each class. The order in which images are
    selected follows from a hash of their names: each run selects the same ones, and nearly the same
    ones after images were added.

    Images with uncorrected labels are never selected, and those in a group with selected ones are
    left out.

    Raises:
        UserError: No image can be held out, because training would lose a class with each group, or
            because nobody has corrected the labels.
    """
    if 'val' in dataset.splits:
        return dataset
    train = dataset.splits['train']
    classes = train.list_classes()
    names = dict(enumerate(list_stems(train)))
    if dataset.annotation_types == ('classes',):
        names = join_class_folders(names)
    uncorrected = {index for index in names if train.images[index].is_uncorrected}
    possible = {index: name for index, name in names.items() if index not in uncorrected}
    if not possible:
        raise UserError(
            f'{dataset.place}: nobody has corrected the labels of any training image, and labels '
            'that a model made are never validation. Correct some, name those that are right in '
            'corrected.txt, or add a folder of labelled images (--data)'
        )
    # A fifth of each part is held out. A part is a class folder, or several with a series in
    # common, or else the whole dataset. It has the names of its images by their indices.
    parts = [possible]
    if dataset.annotation_types == ('classes',):
        parts = divide_by_class(possible, classes)
    val = set().union(*(choose_images(part, classes) for part in parts))
    if not val:
        raise UserError(
            f'{dataset.place} has no images to hold out for validation: training would lose a '
            'class with each image, or with each series (images whose names begin alike and differ '
            'in their last number). Add images, or make a val split'
        )
    beside = uncorrected & find_beside(names, val)
    rest = set(names) - val - beside
    splits = {**dataset.splits, 'train': train.select(rest), 'val': train.select(val)}
    return replace(dataset, splits=splits).add_notes(
        describe_held_out(len(val), len(possible), len(beside))
    )


def find_beside(names: Mapping[int, str], val: Set[int]) -> set[int]:
    """Return the indices of all images that are in a group with held out ones.

    Args:
        names: The names of all images, by their indices.
        val: The indices of those that are held out.
    """
    groups = [group for group in group_images(names) if not val.isdisjoint(group)]
    return set().union(*groups)


def describe_held_out(num_held_out: int, num_images: int, num_beside: int) -> list[str]:
    """Return notes on the images that are held out of those that may be, and on images beside them
    that are left out of training.
    """
    note = f'no val split: {num_held_out} of {num_images} images are held out for validation'
    if abs(num_held_out - VAL_FRACTION * num_images) > MAX_DEVIATION * num_images:
        note += ', not a fifth, because series stay together, and each class is in both splits'
    if not num_beside:
        return [note]
    images = format_count(num_beside, 'image')
    verb = 'is' if num_beside == 1 else 'are'
    return [
        note,
        f'{images} with uncorrected labels {verb} left out of training, because images of the same '
        'series are held out',
    ]


def divide_by_class(
    names: Mapping[int, str], classes: Sequence[Iterable[str]]
) -> list[dict[int, str]]:
    """Return the names of each class, by their indices. Classes with a series in common are one
    part.

    Args:
        names: The names of all images (:func:`.join_class_folders`).
        classes: The class of each image, in a set.
    """
    part_of: dict[str, frozenset[str]] = {}  # the classes that are in one part with a class
    for members in find_series(names).values():
        joined = {name for _, index in members for name in classes[index]}
        joined = joined.union(*(part_of.get(name, ()) for name in joined))
        part_of |= dict.fromkeys(joined, frozenset(joined))
    parts: defaultdict[frozenset[str], dict[int, str]] = defaultdict(dict)
    for index, name in names.items():
        (class_name,) = classes[index]
        parts[part_of[class_name]][index] = name
    return [*parts.values()]


def choose_images(names: Mapping[int, str], classes: Sequence[Iterable[str]]) -> set[int]:
    """Return the indices of a fifth of the given images, or none if no group can be held out.

    Args:
        names: The names of the images by their indices; for class folders, those of one class.
        classes: The classes of all images of the dataset, by index.
    """
    val = hold_out(names, classes)
    # Validation needs an image with a class. Otherwise nothing is scored.
    if not val.classes:
        # Names with two numbers may be clips and their frames, each picture a class.
        val = hold_out(names, classes, with_pairs=False)
    return val.images if val.classes else set()


def hold_out(
    names: Mapping[int, str], classes: Sequence[Iterable[str]], with_pairs: bool = True
) -> 'HeldOut':
    """Hold out groups of images. The arguments are those of :func:`choose_images` and
    :func:`.find_series`.
    """
    groups = []
    by_class = defaultdict(list)
    for images in group_images(names, with_pairs):
        group = Group(images, frozenset(name for index in images for name in classes[index]))
        groups.append(group)
        for name in group.classes:
            by_class[name].append(group)
    val = HeldOut(groups)
    # The smallest group of each class, rare classes first.
    for name in sorted(by_class, key=lambda name: (len(by_class[name]), name)):
        if name not in val.classes:
            val.take_smallest(by_class[name])
    val.fill(groups, len(names))
    return val


class Group(NamedTuple):
    """Images that stay together, by their indices, and their classes."""

    images: Sequence[int]
    classes: frozenset[str]


class HeldOut:
    """The images that are held out, their classes, and how many groups of each class are left."""

    def __init__(self, groups: Sequence[Group]):
        self.images = set()
        self.classes = set()
        self.num_left = Counter(name for group in groups for name in group.classes)

    def take_smallest(self, groups: Iterable[Group]) -> None:
        """Hold out the smallest one of the groups that can be taken, if any can."""
        possible = [*filter(self.can_take, groups)]
        if possible:
            self.take(min(possible, key=lambda group: len(group.images)))

    def fill(self, groups: Iterable[Group], num_images: int) -> None:
        """Hold out groups, in their order, until a fifth of the images is held out.

        If the fraction would be over the maximum with a group, the group is skipped, unless the
        fraction is under the minimum without it.

        Args:
            groups: The groups of all images, in the order in which they should be held out.
            num_images: The number of images in all groups.
        """
        for group in groups:
            number = len(self.images)
            if number >= round(VAL_FRACTION * num_images):
                break
            fits = number + len(group.images) <= MAX_VAL_FRACTION * num_images
            is_under = number < MIN_VAL_FRACTION * num_images
            if (fits or is_under) and self.can_take(group):
                self.take(group)

    def can_take(self, group: Group) -> bool:
        """Return whether a group is not held out yet, and no class loses its last one for training."""
        leaves_one = all(self.num_left[name] > 1 for name in group.classes)
        return leaves_one and self.images.isdisjoint(group.images)

    def take(self, group: Group) -> None:
        self.images.update(group.images)
        self.classes.update(group.classes)
        self.num_left.subtract(group.classes)


def group_images(names: Mapping[int, str], with_pairs: bool = True) -> list[list[int]]:
    """Return the indices of images in groups, in the order in which they should be held out.

    A group is a series (:func:`find_series`): the frames of a video, or one image. A series of more
    than :data:`MAX_SERIES` of the given images is divided into five parts, each a group.
    """
    groups = {}
    for name, members in find_series(names, with_pairs).items():
        num_parts = 1
        if len(members) > MAX_SERIES * len(names):
            num_parts = round(1 / VAL_FRACTION)
        for part, images in divide_series(members, num_parts).items():
            groups[f'{name} {part}'] = images
    # In the order of their hashes, groups are mixed, and new images do not change the order of the
    # others.
    shuffled = sorted(groups, key=lambda name: hashlib.sha256(name.encode()).digest())
    return order_groups([groups[name] for name in shuffled], len(names))


def order_groups(groups: Sequence[list[int]], num_images: int) -> list[list[int]]:
    """Return groups in the order in which they should be held out.

    Groups of at most a fifth of the images are small. They come first, in the given order; then the
    large ones, the smallest first. But if all small groups together have less than a tenth of the
    images, a large one is needed too. Then the large ones come first: with a large one after small
    ones, too many might be held out.
    """
    fifth = VAL_FRACTION * num_images
    small = [group for group in groups if len(group) <= fifth]
    large = sorted((group for group in groups if len(group) > fifth), key=len)
    are_few = sum(map(len, small)) < MIN_VAL_FRACTION * num_images
    return large + small if are_few else small + large
