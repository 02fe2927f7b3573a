"""Contact sheets: a row for each sample, as it is stored and as it is drawn."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ..data_checks.contact_sheet import CELL, beside, captioned, drawn_by_host, stacked
from .draws import Sample, Samples

ROWS = 8
# Of classes that are mixed in an image so many are named, from this share on.
CLASSES, SMALLEST_SHARE = 3, 0.005


def sheets_of(samples: Samples, numbers: Sequence[int], draws: int, seed: int) -> Iterator[Image.Image]:
    """Sheets of at most eight rows.

    Args:
        samples: Of a loader.
        numbers: Which of them, a row each.
        draws: How often each is augmented.
        seed: Of the first draw; each has one more.

    Raises:
        InputError: A sample cannot be loaded.
    """
    for begin in range(0, len(numbers), ROWS):
        shown = numbers[begin : begin + ROWS]
        columns = [[captioned(*original(samples, number)) for number in shown]]
        for draw in range(draws):
            found = samples.drawn(shown, seed + draw)
            columns.append([captioned(picture_of(sample, samples), words_of(sample, samples)) for sample in found])
        yield stacked([beside(row, draws + 1) for row in zip(*columns, strict=True)])


def original(samples: Samples, number: int) -> tuple[Image.Image, str]:
    """A stored sample as a picture, and the name of its file."""
    sample = samples.original(number)
    name = Path(sample.truth.metainfo.get('img_path') or f'sample {number}').name
    classes = f'{classes_of(sample.truth, samples.metainfo)}: ' if samples.kind == 'imagenet' else ''
    return picture_of(sample, samples), f'{classes}{name}'


def picture_of(sample: Sample, samples: Samples) -> Image.Image:
    """A sample with boxes, masks or labels drawn in, as large as a cell."""
    fitting = fitted(sample)
    return drawn_by_host(fitting.pixels, fitting.truth, samples.metainfo, samples.kind)


def fitted(sample: Sample) -> Sample:
    """A sample as large as a cell, before lines and words are drawn, which would become illegible."""
    height, width = sample.pixels.shape[:2]
    factor = min(CELL[0] / width, CELL[1] / height)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    pixels = cv2.resize(np.ascontiguousarray(sample.pixels), size, interpolation=interpolation)
    truth = sample.truth.clone()
    if 'gt_instances' in truth:
        instances = truth.gt_instances.clone()
        instances.bboxes = instances.bboxes * factor
        if 'masks' in instances:
            instances.masks = instances.masks.resize(size[::-1])
        truth.gt_instances = instances
    if 'gt_sem_seg' in truth:
        labels = truth.gt_sem_seg.data[None].float()
        truth.gt_sem_seg = type(truth.gt_sem_seg)(data=resized_labels(labels, size))
    return Sample(pixels, truth)


def resized_labels(labels: Any, size: tuple[int, int]) -> Any:
    """Labels per pixel (1, 1, height, width) with other sides; (1, height, width), whole numbers."""
    from torch.nn.functional import interpolate

    return interpolate(labels, size[::-1], mode='nearest')[0].long()


def words_of(sample: Sample, samples: Samples) -> str:
    """What the network gets: pixels, and how many objects, or which classes."""
    height, width = sample.pixels.shape[:2]
    words = f'{width} × {height} px'
    if samples.kind == 'coco':
        return f'{words}, {len(sample.truth.gt_instances)} objects'
    return f'{words}, {classes_of(sample.truth, samples.metainfo)}' if samples.kind == 'imagenet' else words


def classes_of(truth: Any, metainfo: dict[str, Any]) -> str:
    """The class of an image, or those that are mixed in it and their shares."""
    names = metainfo.get('classes')

    def name(label: int) -> str:
        return names[label] if names else f'class {label}'

    if 'gt_score' not in truth:
        return ', '.join(name(label) for label in truth.gt_label.tolist()) if 'gt_label' in truth else 'no label'
    shares = truth.gt_score
    largest = [label for label in shares.argsort(descending=True).tolist()[:CLASSES] if shares[label] > SMALLEST_SHARE]
    if len(largest) == 1:
        return name(largest[0])
    return ', '.join(f'{name(label)} {shares[label]:.0%}' for label in largest)
