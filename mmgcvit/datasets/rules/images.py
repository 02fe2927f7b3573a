"""Rules for image files, which exist, can be decoded, and have the annotated size, and for their
labels, which are class indices in lists, and values in segmentation maps.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import UserError, get_first_line
from ..annotations import Size, Unusable, get_sides
from ..decoding import (
    SCALE_IT,
    SPLIT_IT,
    BitDepthError,
    DecodingSettings,
    PagesError,
    decode_image,
    load_image,
)
from ..label_maps import read_segmentation_map
from ..opening import ImageError
from .rule import Finding, FolderEffect, Rule, make_config_rule

MISSING = Rule('files that are missing', 'Add them, or remove them from the annotations')
# Also images of YOLO whose label file cannot be read, or is that of two images
UNREADABLE = Rule('images that cannot be read', 'Copy or convert them again, or remove them')
BIT_DEPTH = Rule('images of 16 bits that would be nearly black, or of 32 bits or floats', SCALE_IT)
PAGES = Rule('images with several pages or frames', SPLIT_IT)
OTHER_SIZE = Rule(
    'images of another size than their annotations or maps',
    'Change annotations, or replace files. If it is the size before an EXIF rotation, add '
    'mmgcvit.ApplyExifAsAnnotated to the pipeline',
)
NO_IMAGES = make_config_rule(
    'lists no images', 'Change data_prefix, ann_file, classes or suffixes in the config'
)
# In a folder, the reader of semantic maps raises an error of its own; with a table of values, such
# maps are UNUSABLE_MAPS.
OTHER_LABELS = Rule(
    'labels that belong to no class',
    'Change the classes or reduce_zero_label in the config',
    in_folder=FolderEffect.REJECTED,
)
OTHER_ORDER = make_config_rule(
    'class folders in another order than the classes of the config', 'Sort the classes'
)
OTHER_NUM_CLASSES = make_config_rule(
    'another number of classes than the model predicts', 'Set num_classes of the heads to it'
)
# Folders have unusable maps instead.
NO_MAP = make_config_rule(
    'unreadable segmentation maps',
    'Save class indices as pixel values in 8-bit single-channel PNG files',
)


@dataclass(frozen=True)
class ImageCheck:
    """What was found in an image."""

    finding: Finding | None  # the rule that it breaks, if any
    size: Size | None  # the (width, height) that training sees; None: it cannot be decoded


def check_image(
    path: Path,
    annotated_size: Size | Unusable | None = None,
    decoding: DecodingSettings | None = None,
) -> ImageCheck:
    """Decode an image.

    Args:
        path: The file.
        annotated_size: Its (width, height) by its annotations.
        decoding: How a config's pipeline decodes it. Without it, Pillow does.
    """
    try:
        if decoding is None:
            sizes = decode_image(path)
            stored_size = sizes.stored
            size = sizes.upright
        else:
            pixels, stored_size = load_image(path, decoding)
            height, width = pixels.shape[:2]
            size = width, height
    except FileNotFoundError:
        return ImageCheck(Finding(MISSING, str(path)), None)
    except BitDepthError:
        return ImageCheck(Finding(BIT_DEPTH, str(path)), None)
    except PagesError:
        return ImageCheck(Finding(PAGES, str(path)), None)
    except (OSError, ImageError) as error:
        return ImageCheck(Finding(UNREADABLE, f'{path} ({get_first_line(error)})'), None)
    accepts_stored_size = decoding is None or decoding.matches_annotated_size
    if annotated_size is None:
        return ImageCheck(None, size)
    if annotated_size == size:
        return ImageCheck(None, size)
    if annotated_size == stored_size and accepts_stored_size:
        return ImageCheck(None, stored_size)
    annotated_width, annotated_height = (f'{side!r:.20}' for side in get_sides(annotated_size))
    example = (
        f'{path} is {size[0]} x {size[1]}, annotated as {annotated_width} x {annotated_height}'
    )
    return ImageCheck(Finding(OTHER_SIZE, example), size)


def check_map(path: Path, size: Size, known: Collection[int]) -> list[Finding]:
    """Return which rules a segmentation map breaks.

    ``size`` is the (width, height) of its image, and ``known`` has the values that its pixels may
    have (none: any).
    """
    try:
        labels = read_segmentation_map(path)
    except UserError as error:
        return [Finding(NO_MAP, str(error))]
    found = []
    height, width = labels.shape
    if (width, height) != size:
        example = f'{path} is {width} x {height}, not {size[0]} x {size[1]}'
        found.append(Finding(OTHER_SIZE, example))
    others = [str(label) for label in np.unique(labels).tolist() if known and label not in known]
    if others:
        found.append(Finding(OTHER_LABELS, f'{path} has label {", ".join(others)}'))
    return found
