"""Rules for the labels of images: class indices in lists, and values in segmentation maps."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from ...errors import UserError
from ..decoding import read_segmentation_map
from ..records import Size
from .images import OTHER_SIZE
from .rule import Effect, Rule, make_config_rule

NO_IMAGES = Rule(
    'lists no images',
    'Change data_prefix, ann_file, classes or suffixes in the config',
    in_folder=Effect.REJECTED,
)
OTHER_LABELS = Rule(
    'labels that belong to no class',
    'Change the classes or reduce_zero_label in the config',
    in_folder=Effect.REJECTED,
)
OTHER_ORDER = make_config_rule(
    'class folders in another order than the classes of the config',
    'Sort the classes',
)
# Folders have unusable maps instead.
NO_MAP = make_config_rule(
    'unreadable segmentation maps',
    'Save class indices as pixel values in 8-bit single-channel PNG files',
)


def find_other_labels(labels: Mapping[str, int], num_classes: int) -> list[str]:
    """Return the images whose label is not the index of a class."""
    return [
        f'{path} has label {label}'
        for path, label in labels.items()
        if num_classes and not 0 <= label < num_classes
    ]


def find_other_order(folder_indices: Mapping[str, int], classes: Sequence[str]) -> list[str]:
    """Return the class folders that would have another folder's name.

    mmpretrain labels the sorted folders 0, 1, 2, ... and ignores the order of the config's classes.
    """
    return [
        f'{name!r} would be called {classes[label]!r}'
        for name, label in folder_indices.items()
        if name in classes and classes[label] != name
    ]


def check_map(path: Path, size: Size, known: Collection[int]) -> list[tuple[Rule, str]]:
    """Return the rules that a segmentation map breaks, with examples.

    ``size`` is the (width, height) of its image, and ``known`` has the values that its pixels may
    have (none: any).
    """
    try:
        labels = read_segmentation_map(path)
    except UserError as error:
        return [(NO_MAP, str(error))]
    found = []
    height, width = labels.shape
    if (width, height) != size:
        found.append((OTHER_SIZE, f'{path} is {width} x {height}, not {size[0]} x {size[1]}'))
    others = [str(label) for label in np.unique(labels).tolist() if known and label not in known]
    if others:
        found.append((OTHER_LABELS, f'{path} has label {", ".join(others)}'))
    return found
