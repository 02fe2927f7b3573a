"""Names and colours of a model's classes: of the checkpoint, else of the config; hosts make up others silently."""

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS
from torch import nn

from ..errors import printable

Colour = tuple[int, int, int]
# Of neighbouring hues, golden-ratio steps keep those of neighbouring classes apart.
STEP_OF_HUE = 0.618


def names_of(meta: Any, dataset: ConfigDict, model: nn.Module) -> list[str]:
    """The names of a model's classes.

    Args:
        meta: What a checkpoint says of itself under ``meta``; anything, as files may hold anything.
        dataset: The data set that the config tests on.
        model: Of which the number of classes is known.

    Returns:
        As many names as classes: of the checkpoint, where that has so many; else of the config; else ``'class 0'``, ...
    """
    count = num_classes(model)
    for info in (info_of_checkpoint(meta), info_of_config(dataset)):
        names = info.get('classes')
        is_names = isinstance(names, Sequence) and all(isinstance(name, str) for name in names)
        if is_names and not isinstance(names, str) and names and len(names) == (count or len(names)):
            return [printable(name) for name in names]
    return [f'class {label}' for label in range(count)]


def colours_of(meta: Any, dataset: ConfigDict, names: Sequence[str]) -> list[Colour]:
    """A colour for each class, red, green, blue: of the checkpoint, else of the config, else of different hues."""
    for info in (info_of_checkpoint(meta), info_of_config(dataset)):
        palette = info.get('palette')
        if isinstance(palette, Sequence) and len(palette) == len(names) and all(map(is_colour, palette)):
            return [tuple(colour) for colour in palette]
    return [hue(number) for number in range(len(names))]


def num_classes(model: nn.Module) -> int:
    """How many classes a model's heads tell apart; 0 where they do not say."""
    counts = [getattr(module, 'num_classes', None) for module in model.modules()]
    return max((count for count in counts if isinstance(count, int)), default=0)


def info_of_checkpoint(meta: Any) -> dict[str, Any]:
    """Names and colours of a checkpoint's ``meta``: of OpenMMLab's second generation, or of its first."""
    meta = meta if isinstance(meta, Mapping) else {}
    info = meta.get('dataset_meta')
    info = info if isinstance(info, Mapping) else {key: meta.get(key) for key in ('CLASSES', 'PALETTE')}
    return {str(key).lower(): value for key, value in info.items()}


def info_of_config(dataset: ConfigDict) -> dict[str, Any]:
    """Names and colours that a data set's class has, or its config gives it."""
    with DATASETS.switch_scope_and_registry(None) as registry:
        found = dataset.type if isinstance(dataset.type, type) else registry.get(dataset.type)
    return {**(getattr(found, 'METAINFO', None) or {}), **(dataset.get('metainfo') or {})}


def is_colour(value: Any) -> bool:
    """Whether something is red, green and blue of eight bits."""
    is_three = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3
    return is_three and all(isinstance(part, int) and 0 <= part <= 255 for part in value)


def hue(number: int) -> Colour:
    """The colour of a class that has none: saturated, of a hue of its own."""
    red, green, blue = colorsys.hsv_to_rgb(number * STEP_OF_HUE % 1.0, 0.75, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)
