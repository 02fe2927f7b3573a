"""Data sets in COCO's format: one JSON file of images, annotations and categories."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from numpy.typing import NDArray

from .boxes import check_boxes
from .categories import check_categories, check_references
from .entries import KEYS, entries_of
from .files import check_presence
from .flags import have_flag
from .ids import check_ids, check_scored_ids
from .images import Picture
from .masks import check_masks
from .numbers import as_numbers
from .problems import Kind, Outcome, Report
from .sources import steps_of

NO_SIZE = Kind('images without a width and height above zero', Outcome.STOPS, 'write both in pixels, as whole numbers')
UNKNOWN_IMAGE = Kind('annotations of images that the file does not list', Outcome.LEFT_OUT, 'list them under images')
NOTHING = Kind('nothing to train on', Outcome.STOPS, 'no annotation is left of what the config asks for')


def check_coco(
    dataset: BaseDataset, settings: ConfigDict, content: Mapping[str, Any], is_scored: bool, report: Report
) -> list[Picture]:
    """Report what is wrong with an annotation file; the images that it names.

    Args:
        dataset: mmdet's CocoDataset or one derived from it, not yet loaded.
        settings: What it was built from.
        content: The file's content.
        is_scored: Whether scores are computed from it, as of a validation's.
        report: Gets the problems.
    """
    place = dataset.ann_file
    entries = entries_of(place, content, is_scored, report)
    if entries is None:
        return []
    images, annotations, categories = entries
    for name, found in zip(KEYS, entries, strict=True):
        check_ids(place, name, found, report)
        if is_scored:
            check_scored_ids(place, name, found, report)
    check_categories(place, categories, dataset.metainfo.get('classes'), report)
    sizes = sizes_of(place, images, report)
    annotations, sizes_of_annotations = with_images(place, annotations, images, sizes, report)
    is_used = check_boxes(place, annotations, sizes_of_annotations, report)
    is_used &= check_references(place, annotations, categories, dataset.metainfo.get('classes'), report)
    is_used &= ~have_flag(place, annotations, 'ignore', report)
    # Training gets crowds with their masks, though not as objects to find.
    is_object = is_used & ~have_flag(place, annotations, 'iscrowd', report)
    if not is_scored and not is_object.any():
        report.add(NOTHING, place)
    if any(step.get('with_mask') for step in steps_of(settings)):
        kept = [annotation for annotation, used in zip(annotations, is_used, strict=True) if used or is_scored]
        check_masks(place, kept, sizes_of_annotations[is_used | is_scored], is_scored, report)
    return pictures_of(place, dataset, images, sizes, report)


def sizes_of(place: str, images: Sequence[Mapping[str, Any]], report: Report) -> NDArray[np.float64]:
    """The images' widths and heights, (images, 2); NaN for those that have none."""
    sizes = np.stack([as_numbers([image[key] for image in images], 1)[:, 0] for key in ('width', 'height')], axis=1)
    is_sized = np.isfinite(sizes).all(1) & (sizes >= 1).all(1) & (sizes == np.floor(sizes)).all(1)
    wrong = [images[number] for number in np.flatnonzero(~is_sized)]
    if wrong:
        report.add(NO_SIZE, place, [f'{image["file_name"]} {image["width"]} x {image["height"]}' for image in wrong])
    sizes[~is_sized] = np.nan
    return sizes


def with_images(
    place: str,
    annotations: Sequence[dict[str, Any]],
    images: Sequence[Mapping[str, Any]],
    sizes: NDArray[np.float64],
    report: Report,
) -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
    """The annotations whose images are known and have sizes, and these sizes, (annotations, 2)."""
    place_of = {image['id']: number for number, image in enumerate(images)}
    numbers = np.array([place_of.get(annotation['image_id'], -1) for annotation in annotations], dtype=np.int64)
    strays = [annotations[number] for number in np.flatnonzero(numbers < 0)]
    if strays:
        report.add(UNKNOWN_IMAGE, place, [f'annotation {stray["id"]} of image {stray["image_id"]}' for stray in strays])
    sizes = np.concatenate([sizes, np.full((1, 2), np.nan)])[numbers]
    kept = np.flatnonzero(np.isfinite(sizes).all(1))
    return [annotations[number] for number in kept], sizes[kept]


def pictures_of(
    place: str,
    dataset: BaseDataset,
    images: Sequence[Mapping[str, Any]],
    sizes: NDArray[np.float64],
    report: Report,
) -> list[Picture]:
    """The image files that have a size and are there; the others are reported."""
    folder = dataset.data_prefix.get('img', '')
    known = np.flatnonzero(np.isfinite(sizes).all(1))
    # As the hosts join them.
    paths = [os.path.join(folder, images[number]['file_name']) for number in known]  # noqa: PTH118
    absent = check_presence(place, paths, report)
    return [
        Picture(path, annotated=(int(width), int(height)))
        for path, (width, height) in zip(paths, sizes[known].tolist(), strict=True)
        if path not in absent
    ]
