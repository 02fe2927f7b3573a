"""Measure detected objects, in pixels and in a unit, for ``mmgcvit predict``.

Masks are measured by scikit-image's ``regionprops_table``. A model that predicts no masks has only
the columns of boxes.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...datasets.annotations import Size
from ...errors import UserError
from ...ops.requirements import check_installed
from ...predict.results import DetectedObject, Detections
from .csv_files import escape_formula, write_csv

UNITS = ('nm', 'um', 'mm', 'cm', 'm')
PIXEL_SIZE = re.compile(rf'([0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?) ?({"|".join(UNITS)})')
MICRO_SIGNS = str.maketrans('µμ', 'uu')  # the micro sign and the Greek letter
NUM_DIGITS = 6  # significant ones in the file

# Names of columns without their unit. Each column of a length or an area has a name in px or px2
# and, if the size of a pixel is known, one in the unit.
BOX_LENGTHS = ('left', 'top', 'width', 'height', 'centre_x', 'centre_y')
MASK_LENGTHS = ('perimeter', 'equivalent_diameter', 'major_axis', 'minor_axis')
# What scikit-image calls them. Its ``perimeter`` is 4 % too long for ellipses, Crofton's formula is
# right to 1 %.
PROPERTIES = {
    'perimeter': 'perimeter_crofton',
    'equivalent_diameter': 'equivalent_diameter_area',
    'major_axis': 'axis_major_length',
    'minor_axis': 'axis_minor_length',
}
# The greatest distance from the border of the image at which a box touches it, in pixels
BORDER = 1

Values = dict[str, float]


@dataclass(frozen=True)
class PixelSize:
    """The length of a pixel's side."""

    length: float
    unit: str


def parse_pixel_size(text: str) -> PixelSize:
    """Return the size of a pixel, such as 0.65um.

    Raise a UserError for other texts, and for a length that is not above 0.
    """
    match = PIXEL_SIZE.fullmatch(text.strip().translate(MICRO_SIGNS))
    length = float(match[1]) if match else 0
    if match is None or not 0 < length < math.inf:
        raise UserError(
            f'pixel_size={text!r:.40}: expected a length above 0 and its unit, for example '
            f'0.65um. Units: {", ".join(UNITS)}',
            arguments=['pixel_size'],
        )
    return PixelSize(length, match[2])


@dataclass(frozen=True)
class MeasuredObject:
    """An object with its measurements in pixels."""

    picture: str
    class_name: str
    score: float
    lengths: Values
    area: float | None  # of the mask
    orientation: float | None
    mean_intensity: float | None
    touches_border: bool


def measure_objects(
    picture: str, image: NDArray[np.uint8], prediction: Detections
) -> list[MeasuredObject]:
    """Measure the objects of an image.

    Args:
        picture: The name of the image.
        image: The image, (height, width, 3) in BGR order.
        prediction: What a detector found in it. Objects with an empty mask are left out.
    """
    if prediction.masks is None:
        size = image.shape[1], image.shape[0]
        return [measure_box(picture, found, size) for found in prediction]
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.uint8)
    measured = []
    for found in prediction:
        if found.mask is not None and found.mask.any():
            measured.append(measure_mask(picture, found, found.mask, grey))
    return measured


def measure_box(picture: str, found: DetectedObject, size: Size) -> MeasuredObject:
    """Measure an object without a mask in an image of (width, height)."""
    left, top, right, bottom = found.box.tolist()
    width, height = size
    lengths = make_box_lengths(left, top, right=right, bottom=bottom)
    is_at_left_or_top = min(left, top) < BORDER
    is_at_right_or_bottom = right > width - BORDER or bottom > height - BORDER
    return MeasuredObject(
        picture=picture,
        class_name=found.class_name,
        score=found.score,
        lengths=lengths,
        area=None,
        orientation=None,
        mean_intensity=None,
        touches_border=is_at_left_or_top or is_at_right_or_bottom,
    )


def make_box_lengths(left: float, top: float, *, right: float, bottom: float) -> Values:
    """Return the lengths of :data:`BOX_LENGTHS`."""
    return {
        'left': left,
        'top': top,
        'width': right - left,
        'height': bottom - top,
        'centre_x': (left + right) / 2,
        'centre_y': (top + bottom) / 2,
    }


def measure_mask(
    picture: str, found: DetectedObject, mask: NDArray[np.bool_], grey: NDArray[np.uint8]
) -> MeasuredObject:
    """Measure an object with a mask that is not empty.

    Its box is that of the mask, and its centre the mask's centroid. ``grey`` is the image
    (height, width).
    """
    check_installed('measuring masks', 'skimage')
    from skimage.measure import regionprops_table

    rows = np.flatnonzero(mask.any(1))
    columns = np.flatnonzero(mask.any(0))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    left, right = int(columns[0]), int(columns[-1]) + 1
    table: dict[str, Any] = regionprops_table(
        mask[top:bottom, left:right].astype(np.uint8),
        grey[top:bottom, left:right],
        properties=('area', 'centroid', 'orientation', 'intensity_mean', *PROPERTIES.values()),
    )
    values = {name: float(column[0]) for name, column in table.items()}
    lengths = make_box_lengths(left, top, right=right, bottom=bottom)
    # scikit-image counts from the centre of the first pixel, boxes from its corner.
    lengths['centre_x'] = left + values['centroid-1'] + 0.5
    lengths['centre_y'] = top + values['centroid-0'] + 0.5
    lengths.update({name: values[source] for name, source in PROPERTIES.items()})
    height, width = mask.shape
    return MeasuredObject(
        picture=picture,
        class_name=found.class_name,
        score=found.score,
        lengths=lengths,
        area=values['area'],
        orientation=convert_orientation(values['orientation']),
        mean_intensity=values['intensity_mean'],
        touches_border=0 in (left, top) or right == width or bottom == height,
    )


def convert_orientation(angle: float) -> float:
    """Return the angle of the major axis from the horizontal, counter-clockwise in degrees, above
    -90 and up to 90.

    ``angle`` is scikit-image's, from the vertical in radians.
    """
    degrees = math.degrees(angle) - 90
    return degrees if degrees > -90 else degrees + 180


def write_objects(
    path: Path,
    objects: Sequence[MeasuredObject],
    *,
    with_masks: bool,
    pixel_size: PixelSize | None,
) -> None:
    """Write a CSV file with a row for each object.

    Args:
        path: The file.
        objects: The objects of all images.
        with_masks: Whether there are columns for what is measured on masks.
        pixel_size: The size of a pixel, for columns in its unit, or None.
    """
    lengths = (*BOX_LENGTHS, *MASK_LENGTHS) if with_masks else BOX_LENGTHS
    header = ['file_name', 'class', 'score', *(f'{name}_px' for name in lengths)]
    if with_masks:
        header += ['area_px2', 'orientation_deg', 'mean_intensity']
    header.append('touches_border')
    if pixel_size:
        header += [f'{name}_{pixel_size.unit}' for name in lengths]
        if with_masks:
            header.append(f'area_{pixel_size.unit}2')
    rows = [make_row(each, lengths, pixel_size) for each in objects]
    write_csv(path, [header, *rows])


def make_row(
    each: MeasuredObject, lengths: Sequence[str], pixel_size: PixelSize | None
) -> list[str]:
    """Return the cells of an object."""
    row = [escape_formula(each.picture), escape_formula(each.class_name), format_number(each.score)]
    row += [format_number(each.lengths[name]) for name in lengths]
    for value in (each.area, each.orientation, each.mean_intensity):
        if value is not None:
            row.append(format_number(value))
    row.append(str(int(each.touches_border)))
    if pixel_size:
        row += [format_number(each.lengths[name] * pixel_size.length) for name in lengths]
        if each.area is not None:
            row.append(format_number(each.area * pixel_size.length**2))
    return row


def format_number(value: float) -> str:
    """Return a number with :data:`NUM_DIGITS` significant digits."""
    return f'{value:.{NUM_DIGITS}g}'
