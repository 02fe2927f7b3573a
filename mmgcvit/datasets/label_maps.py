"""Read segmentation maps: numbers of one channel, colours, and palettes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .opening import (
    ImageError,
    count_pages,
    decoder_errors,
    get_raw_mode,
    is_inverted,
    open_or_reject,
)

IGNORE_INDEX = 255  # the label of pixels that training and evaluation ignore


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


def list_labels(info: Mapping[str, Any]) -> set[int]:
    """Return the class index of an image, or those in its map. If the map cannot be read, return
    all.
    """
    if 'gt_label' in info:
        return set(np.ravel(info['gt_label']).tolist())
    from mmseg.datasets.transforms import LoadAnnotations  # imported here: only mmseg has maps

    try:
        labels = LoadAnnotations()({**info, 'seg_fields': []})['gt_seg_map']
    # mmcv's decoders raise errors of any class. The map is on a server, or damaged, which the
    # validation reports.
    except Exception:
        return set(range(IGNORE_INDEX))
    return set(np.unique(labels).tolist())
