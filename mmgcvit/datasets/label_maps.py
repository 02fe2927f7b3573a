"""Read segmentation maps: numbers of one channel, colours, and palettes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import UserError
from .opening import (
    ImageError,
    count_pages,
    decoder_errors,
    get_raw_mode,
    is_inverted,
    open_or_reject,
    read_sizes,
)

Colour = tuple[int, int, int]  # red, green, blue
IGNORE_INDEX = 255  # the label of pixels that training and evaluation ignore


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


def read_segmentation_map(path: Path, with_instances: bool = False) -> NDArray[np.integer]:
    """Return labels (height, width) from a file of one channel, of 8 bits, or up to 32 with
    ``with_instances``.

    Raise a UserError for other files.
    """
    with open_or_reject(path) as image:
        if count_pages(image) > 1:
            raise ImageError('it has several pages. Save each as a file')
        if is_inverted(image):
            raise ImageError(
                'white is 0 in it (PhotometricInterpretation 0, of ImageJ with an inverting LUT or '
                'of tifffile for True and False), so its numbers are read inverted or not. Save '
                'them as PNG'
            )
        if get_raw_mode(image).startswith(('L;2', 'L;4')):
            raise ImageError(
                'it is grey with 2 or 4 bits, which decoders scale to 0 to 255. Save it with 8 bits'
            )
        with decoder_errors():
            labels = np.array(image)
        # Pillow reads 32 bits without a sign as ones with a sign.
        if labels.dtype.kind == 'i' and labels.min() < 0:
            raise ImageError(
                'it has numbers under 0 or over 2147483647. Number objects from 1, classes from 0 '
                'on'
            )
        has_8_bits = image.mode in ('1', 'L', 'P')
        if not has_8_bits and not (with_instances and image.mode[0] == 'I'):
            raise ImageError(
                f'it has the mode {image.mode}. A semantic map must have one channel of 8 bits '
                'with class indices, and a map of instances one of 8 to 32 bits'
            )
        if 1 in image.size:  # mmseg would drop this axis
            raise ImageError('each side must have at least 2 pixels')
    return labels.astype(np.uint8) if has_8_bits else labels


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
