"""What the pixels of a folder's semantic maps stand for: numbers, colours, and palettes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...datasets.label_maps import read_segmentation_map
from ...datasets.opening import decoder_errors, open_or_reject, read_sizes
from ...errors import UserError

Colour = tuple[int, int, int]  # red, green, blue


@dataclass(frozen=True)
class PixelLabels:
    """What the pixels of semantic maps stand for."""

    # The class index by the value of a pixel; IGNORE_INDEX where it is of no class.
    by_value: Mapping[int, int]
    are_colours: bool = False  # values are red * 65536 + green * 256 + blue

    @property
    def are_identical(self) -> bool:
        """Whether the values are the labels, so that maps need no conversion."""
        return not self.are_colours and all(v == label for v, label in self.by_value.items())


def read_values(path: Path, are_colours: bool) -> NDArray[np.integer]:
    """Return the values of pixels (height, width) of a semantic map, as :class:`PixelLabels` says.

    Raise a UserError for unreadable files.
    """
    if not are_colours:
        return read_segmentation_map(path)
    with open_or_reject(path) as image:
        with decoder_errors():
            colours = np.asarray(image.convert('RGB'))
        return colours @ np.array([65536, 256, 1])


def read_labels(path: Path, labels: PixelLabels) -> NDArray[np.uint8]:
    """Return the class indices (height, width) of a semantic map.

    Raise a UserError for a value that has none.
    """
    pixels = read_values(path, labels.are_colours)
    values, places = np.unique(pixels, return_inverse=True)
    indices = [labels.by_value.get(value) for value in values.tolist()]
    if None in indices:
        raise UserError(f'{path} has colours or values of no class')
    return np.array(indices, np.uint8)[places].reshape(pixels.shape)


def read_palette(path: Path) -> list[Colour]:
    """Return the colours (red, green, blue) of an indexed image's numbers, or an empty list for
    another image.

    Raise a UserError for unreadable files.
    """
    with open_or_reject(path) as image:
        with decoder_errors():
            image.load()
        values = image.getpalette() if image.mode == 'P' else None
    values = values or []
    return list(zip(values[::3], values[1::3], values[2::3], strict=False))


def check_map_size(labels: NDArray[np.integer], path: Path, image: Path) -> None:
    """Raise a UserError if the labels in a map, which were read from ``path``, have another size
    than its image.
    """
    height, width = labels.shape
    image_width, image_height = read_sizes(image).upright
    if (width, height) != (image_width, image_height):
        raise UserError(
            f'{path} is {width} x {height}, but its image is {image_width} x {image_height}'
        )
