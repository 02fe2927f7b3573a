"""Read semantic maps: the number or the colour of a pixel is that of its class."""

from collections.abc import Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import UserError, shorten
from ..decoding import IGNORE_INDEX, PixelLabels, check_map_size, read_values
from ..pairing import Pair, PairsBySplit
from ..reading import read_splits
from ..records import DatasetInfo, Entry, LabelSplit
from ..rules.parsing import UNUSABLE_MAPS
from .map_classes import NAMES_TABLE


class SemanticMap(NamedTuple):
    """The map of an image, both relative to the dataset's folder."""

    image: Path
    file: Path
    values: set[int]  # those of its pixels


def read_semantic_maps(
    folder: Path, by_split: PairsBySplit, names: Sequence[str], labels: PixelLabels | None
) -> DatasetInfo:
    """Read maps of classes.

    Those with colours, or with other values than class indices, are converted when a run copies its
    annotations.

    Args:
        folder: The dataset's folder.
        by_split: Images with their maps.
        names: The class names, or none.
        labels: The labels of pixels, if a table has them.
    """
    are_colours = bool(labels and labels.are_colours)
    found, problems = read_splits(partial(read_semantic_map, folder, are_colours), by_split)
    maps = [*chain(*found.values())]
    notes = []
    if not labels:
        labels, notes = choose_labels(folder, names, maps)
    if not names:
        notes.append(
            'the classes have no names. To name them, write classes.txt with a name on each line'
        )
    used = {labels.by_value.get(value) for each in maps for value in each.values}
    names = choose_names(folder, used, names)
    splits = {}
    for split, own in found.items():
        images, wrong = make_entries(folder, own, labels, names)
        splits[split] = LabelSplit(folder.resolve(), images, labels)
        problems += wrong
    return DatasetInfo(
        folder,
        'semantic maps',
        ('seg_maps',),
        tuple(names),
        splits,
        notes,
        {UNUSABLE_MAPS: problems},
    )


def read_semantic_map(folder: Path, are_colours: bool, pair: Pair) -> SemanticMap:
    """Read the map of an image: colours, or numbers."""
    image, file = pair
    path = folder / file
    pixels = read_values(path, are_colours)
    check_map_size(pixels, path, folder / image)
    return SemanticMap(image, file, set(np.unique(pixels).tolist()))


def choose_labels(
    folder: Path, names: Sequence[str], maps: Sequence[SemanticMap]
) -> tuple[PixelLabels, list[str]]:
    """Return the labels of pixels for maps without a table, and notes.

    A value is the class index, and 255 is no class. With two names, 255 beside 0 is the second
    class. Raise a UserError if it may be either.
    """
    values = set().union(*(each.values for each in maps))
    if values == {0, IGNORE_INDEX} and len(names) == 2:
        note = f'255 in the maps is read as 1, {names[1]}'
        return PixelLabels({0: 0, IGNORE_INDEX: 1}), [note]
    with_255 = [each.file for each in maps if IGNORE_INDEX in each.values]
    with_1 = [each.file for each in maps if 1 in each.values]
    are_apart = set(with_255).isdisjoint(with_1)
    if with_255 and with_1 and are_apart and values <= {0, 1, IGNORE_INDEX}:
        raise UserError(
            f'{folder}: {with_255[0]} has 255 and no 1, but {with_1[0]} has 1 and no 255. If both '
            f'are the second class, write 1 in all maps. If 255 is no class, write {NAMES_TABLE} '
            'with the lines "0, background" and "1, object"'
        )
    return PixelLabels({value: value for value in range(IGNORE_INDEX + 1)}), []


def choose_names(folder: Path, labels: set[int | None], names: Sequence[str]) -> Sequence[str]:
    """Return the class names: those given, or made up ones.

    Args:
        folder: The dataset's folder, for messages.
        labels: The labels in all maps; None for a value that a table lacks.
        names: The class names; without them, names are made up if no label but 0 is missing.

    Raises:
        UserError: All labels are 0, a label has no name, or without names one is missing.
    """
    if None in labels or labels <= {IGNORE_INDEX}:
        return names  # make_entries says which maps are wrong
    highest = max(labels - {IGNORE_INDEX})
    missing = set()
    if not names:
        names = [f'class {index}' for index in range(highest + 1)]
        missing = set(range(1, highest)) - labels
    if 0 < highest < len(names) and not missing:
        return names
    raise UserError(
        f'{folder}: the segmentation maps have the values {shorten(sorted(labels), 8)}, and the '
        f'classes are {shorten(names, 8)}. Expected 0 for the first class (or the first value of '
        'a table), 1 for the second, and so on, and 255 for none. Change the pixels, or name all '
        'classes in classes.txt, one on each line. With two names, 255 beside 0 is the second class'
    )


def make_entries(
    folder: Path, maps: Sequence[SemanticMap], labels: PixelLabels, names: Sequence[str]
) -> tuple[list[Entry], list[str]]:
    """Return the entries of a :class:`LabelSplit`, and what is wrong with maps without a class."""
    entries = []
    wrong = []
    for each in maps:
        own = {labels.by_value.get(value) for value in each.values}
        if None in own:
            wrong.append(f'{folder / each.file} has colours or values of no class')
        elif own == {IGNORE_INDEX}:
            wrong.append(f'{folder / each.file} has no labelled pixel: all are 255')
        else:
            classes = {names[label] for label in own - {IGNORE_INDEX}}
            entries.append(
                {'file_name': str(each.image), 'label': str(each.file), 'classes': classes}
            )
    return entries, wrong
