"""Advise the user on a training: objects that are small or many, and reasons of a low score."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch

from ...datasets.annotations import Size
from ...datasets.mirroring import explain_mirroring
from ...engine.hooks.summary import format_duration
from ...errors import format_count
from ..data.records import DatasetInfo
from ..data.rules.classes import find_few_scored, find_missing_classes
from ..data.rules.findings import format_findings
from .object_sizes import (
    MAX_SMALL,
    choose_image_size,
    choose_tiles,
    explain_small_tiles,
    find_small_objects,
    measure_long_side,
)
from .plan import MIN_MAX_OBJECTS, Plan
from .templates import COSTS, MINI

FEW_IMAGES = 50  # with fewer training images, the user is told so
# A class dominates above this share, if each class counts once in each training image.
MAX_SHARE = 0.9
# Long side / short side. A square in the centre of a longer image lacks over a third of it.
WIDE_ASPECT = 1.5


@dataclass(frozen=True)
class Advice:
    """What the user is told of a training before it starts and when it is judged."""

    notes: list[str]  # on what it will not do well
    weaknesses: list[str]  # likely reasons of a low score


@dataclass(frozen=True)
class Remedy:
    """Options with which small objects and thin regions are seen better."""

    options: str
    sentence: str  # advice that names them


def advise(plan: Plan, sizes: Sequence[Size]) -> Advice:
    """Return what to tell the user of a training.

    ``sizes`` are the (width, height) of some training images.
    """
    head = plan.head
    image_size = head.image_size
    findings = [*find_missing_classes(plan.dataset), *find_few_scored(plan.dataset)]
    notes = format_findings(findings)
    remedy = None
    small_objects = find_small_objects(plan.train, image_size, head.tiles)
    if small_objects:
        remedy = advise_tiles(plan)
        notes.append(f'{small_objects}. {remedy.sentence}')
    small_tiles = explain_small_tiles(head.tiles, measure_long_side(plan.train))
    if small_tiles:
        notes.append(small_tiles)
    if head.max_objects > MIN_MAX_OBJECTS:
        notes.append(describe_crowds(plan))
    if plan.size != MINI and not plan.has_gpu:
        notes.append(
            f'--size {plan.size} takes {estimate_time(plan, plan.num_seen, image_size)} on a CPU '
            '(estimate). --size mini takes minutes'
        )
    notes += describe_mirroring(plan)
    if plan.template.sees_square and not head.whole:
        notes += find_wide_images(sizes)
    side = round(median(map(min, sizes)))
    # For objects, their sizes decide.
    if not plan.template.has_objects and side >= 2 * image_size and not head.tiles:
        remedy = advise_details(plan)
        notes.append(
            f'the short side of half of the images is {side} px or more, and they are trained at '
            f'{image_size} px. If what matters is small or thin: {remedy.sentence}'
        )
    return Advice(notes, find_weaknesses(plan.dataset, remedy.options if remedy else ''))


def advise_tiles(plan: Plan) -> Remedy:
    """Return options with which few objects are small.

    Without a GPU, the sentence also says how long the CPU takes.
    """
    train = plan.train
    image_size = plan.head.image_size
    tiled = choose_tiles(image_size, 0, train)
    options = '--tiles'
    if find_small_objects(train, image_size, tiled['tiles']):
        image_size = choose_image_size(train)
        options += f' --image-size {image_size}'
    advice = f'Train on tiles of {tiled["tiles"]} px: {options}'
    if not plan.has_gpu:
        num_tiles = len(train.image_names) * tiled['tiles_per_image']
        num_seen = num_tiles * plan.template.choose_epochs(plan.size, num_tiles)
        advice += f' ({estimate_time(plan, num_seen, image_size)} on this CPU, estimate)'
    return Remedy(options, advice)


def advise_details(plan: Plan) -> Remedy:
    """Return options with which a model of maps or of classes sees small and thin things."""
    if plan.template.can_tile:
        return advise_tiles(plan)
    options = f'--image-size {2 * plan.head.image_size}'
    return Remedy(options, f'use {options}, which takes about four times as long')


def estimate_time(plan: Plan, num_samples: int, image_size: int) -> str:
    """Return how long a CPU trains on a number of images or tiles, such as 'about 3 h'."""
    megapixels = num_samples * image_size**2 / 1e6
    cost = plan.template.cpu_seconds * COSTS[plan.size]
    return f'about {format_duration(megapixels * cost / torch.get_num_threads())}'


def describe_crowds(plan: Plan) -> str:
    """Return a note on the limit of objects in an image, and on the memory of their masks."""
    head = plan.head
    place = 'tile' if head.tiles else 'image'
    text = (
        f'the fullest {place} has {plan.fullest} objects, so up to {head.max_objects} are found '
        f'in one (max_objects)'
    )
    if head.masks:
        # A mask has a byte for each pixel, and an image at most twice image_size**2 pixels.
        megabytes = head.max_objects * 2 * head.image_size**2 / 1e6
        text += f'; their masks take up to {megabytes:.0f} MB an image'
    return text


def describe_mirroring(plan: Plan) -> list[str]:
    """Return a note on mirrored images: that half of them are, and for which that is wrong, or why
    none are. There is none if the user has chosen that none are mirrored.
    """
    if plan.head.augment == 'none':
        return []
    reason = explain_mirroring(plan.dataset.classes)
    is_default = plan.template.list_defaults(plan.size).get('flip', True)
    if plan.head.flip and reason:
        return [f'half of the images are mirrored (--flip), although {reason}']
    if plan.head.flip and is_default:
        return [
            'half of the images are mirrored. Never mirror letters, digits, music, or left and '
            'right: --no-flip'
        ]
    if plan.head.flip:
        return []
    if not is_default:
        reason = reason or 'a mirror image may be of another class'
    if not reason:
        return []
    return [f'images are not mirrored, because {reason}. To mirror half of them: --flip']


def find_wide_images(sizes: Sequence[Size]) -> list[str]:
    """Return a note if a classifier sees only the centre of more than a tenth of the images."""
    num_wide = sum(max(size) > WIDE_ASPECT * min(size) for size in sizes)
    if num_wide <= MAX_SMALL * len(sizes):
        return []
    return [
        f'{num_wide} of {len(sizes)} images are over {WIDE_ASPECT} times as long as wide: a '
        'classifier sees a square of them, in tests the centre. If what matters is elsewhere, cut '
        'or pad them'
    ]


def find_weaknesses(dataset: DatasetInfo, remedy: str) -> list[str]:
    """Return likely reasons of a low score: few images, small objects, one dominant class.

    ``remedy`` has the options that enlarge objects, or is empty if they are large enough.
    """
    train = dataset.splits['train']
    num_images = len(train.image_names)
    reasons = []
    if num_images < FEW_IMAGES:
        reasons.append(
            f'there are only {format_count(num_images, "training image")}; more would help'
        )
    if train.num_uncorrected:
        reasons.append(
            f'a model made the labels of {train.num_uncorrected} of '
            f'{format_count(num_images, "training image")}, and nobody has corrected them '
            '(--pseudo-labels); correct them'
        )
    if remedy:
        reasons.append(f'small objects or thin regions are hard to see; use {remedy}')
    counts = Counter(name for names in train.list_classes() for name in names)
    if len(dataset.classes) > 1 and counts:
        name, number = counts.most_common(1)[0]
        if number > MAX_SHARE * counts.total():
            reasons.append(
                f'nearly all training images have only {name}; add images of the other classes'
            )
    return reasons
