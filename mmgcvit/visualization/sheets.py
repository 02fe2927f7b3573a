"""Contact sheets: pictures in cells of one size, words under each, in rows; of a data set's samples as they are stored.

``browsing.py`` has sheets of samples as networks get them, ``predictions.py`` of what is predicted for them. Larger is
a picture of one image, the truth and the prediction side by side.
"""

import contextlib
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from PIL import Image, ImageDraw, ImageFont

from ..datasets.checks.sources import built, datasets_of, place_of
from ..errors import first_line
from ..inference import Prediction
from ..inference.drawing import Colour, drawn, font_of, palette_of
from .judging import loading_steps, truth_of

# Samples of a data set, and how many stand side by side.
NUM_SAMPLES, COLUMNS = 8, 4
# Width and height of a picture, and height of the line under it, in pixels.
CELL, CAPTION = (400, 300), 26
# Of pictures side by side: sides in pixels, to which as small images as digits are enlarged and large photos made
# smaller; and what is between them.
SMALLEST, LARGEST = 320, 800
GAP = 8


def contact_sheet(cfg: Config, loaders: Sequence[str]) -> Image.Image:
    """Draw samples of the data sets of some loaders, chosen by chance, the same each time, as training gets them.

    What cannot be loaded is left out.
    """
    rows = []
    for settings, kind, _ in datasets_of(cfg, loaders):
        if kind is None:
            continue
        words, cells = place_of(built(settings)), []
        try:
            # mmdet's data sets print how they are loaded.
            with contextlib.redirect_stdout(None):
                dataset = DATASETS.build({**settings, 'pipeline': loading_steps(settings, kind)})
            cells += drawn_samples(dataset, kind)
        # Whatever the hosts find wrong with a list or an annotation file: the table has it.
        except Exception as error:
            words += f' cannot be loaded: {first_line(error)}'
        rows.append([line_of_text(words, COLUMNS * CELL[0])])
        rows += [cells[i : i + COLUMNS] for i in range(0, len(cells), COLUMNS)]
    return stacked(rows)


def drawn_samples(dataset: BaseDataset, kind: str) -> Iterator[Image.Image]:
    """Some samples of a data set, each with its file's name under it, in classification its class too."""
    shown = 0
    for number in random.Random(0).sample(range(len(dataset)), len(dataset)):
        try:
            sample = dataset.prepare_data(number)
        # As above.
        except Exception:
            continue
        if sample is None:
            continue
        truth = sample['data_samples']
        caption = Path(truth.metainfo.get('img_path', '')).name
        if kind == 'imagenet' and dataset.with_label:
            label = int(truth.gt_label[0])
            caption = f'{dataset.CLASSES[label] if dataset.CLASSES else label}: {caption}'
        yield cell_of_sample(sample['inputs'].byte().permute(1, 2, 0).numpy(), truth, dataset.metainfo, caption)
        shown += 1
        if shown == NUM_SAMPLES:
            return


def cell_of_sample(image: np.ndarray, sample: Any, metainfo: dict[str, Any], words: str) -> Image.Image:
    """An image (height, width, 3), blue, green, red, with what a host's data sample says is true of it."""
    classes = metainfo.get('classes') or ()
    palette = palette_of(len(classes), [metainfo.get('palette')])
    is_drawn_in = 'gt_instances' in sample or 'gt_sem_seg' in sample
    found = truth_of(sample, classes) if is_drawn_in else None
    return cell_of(image, found, palette, words, with_scores=False)


def cell_of(
    image: np.ndarray, found: Prediction | None, palette: Sequence[Colour], words: str, with_scores: bool = True
) -> Image.Image:
    """An image (height, width, 3), blue, green, red, as large as a cell, what is found drawn in, and a line under it.

    Lines and words are drawn into the larger or smaller image: they would become illegible.
    """
    scale = min(CELL[0] / image.shape[1], CELL[1] / image.shape[0])
    picture = image_of(drawn(image, found, palette, scale, with_scores))
    cell = Image.new('RGB', (CELL[0], CELL[1] + CAPTION), 'white')
    cell.paste(picture, ((CELL[0] - picture.width) // 2, (CELL[1] - picture.height) // 2))
    cell.paste(line_of_text(words, CELL[0]), (0, CELL[1]))
    return cell


def image_of(picture: np.ndarray) -> Image.Image:
    """Of a picture (height, width, 3), blue, green, red."""
    return Image.fromarray(np.ascontiguousarray(picture[..., ::-1]))


def line_of_text(words: str, width: int) -> Image.Image:
    """Words in black on white, as far as they fit."""
    line = Image.new('RGB', (width, CAPTION), 'white')
    ImageDraw.Draw(line).text((CAPTION // 4, CAPTION // 4), words, 'black', font_of(CAPTION // 2))
    return line


def stacked(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Rows of images below each other, on white."""
    width = max((sum(image.width for image in row) for row in rows), default=1)
    sheet = Image.new('RGB', (width, max(1, sum(row[0].height for row in rows))), 'white')
    top = 0
    for row in rows:
        left = 0
        for image in row:
            sheet.paste(image, (left, top))
            left += image.width
        top += row[0].height
    return sheet


def side_by_side(
    image: np.ndarray, truth: Prediction | None, found: Prediction, palette: Sequence[Colour], words: Sequence[str]
) -> np.ndarray:
    """An image with the truth, if it is known, and with the prediction, and words: (height, width, 3), BGR."""
    longest = max(image.shape[:2])
    scale = min(max(longest, SMALLEST), LARGEST) / longest
    titled = {'prediction': drawn(image, found, palette, scale)}
    if truth is not None:
        titled = {'truth': drawn(image, truth, palette, scale, with_scores=False), **titled}
    width = titled['prediction'].shape[1] + GAP
    pictures = [stacked([[line_of_text(title, width)], [image_of(each)]]) for title, each in titled.items()]
    whole = len(pictures) * width
    lines = [line for text in words for line in broken(text, font_of(CAPTION // 2), whole - CAPTION // 2)]
    sheet = stacked([pictures, *([line_of_text(line, whole)] for line in lines)])
    return np.ascontiguousarray(np.asarray(sheet)[..., ::-1])


def broken(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """A text in lines that are not wider than so many pixels, broken anywhere where a word is."""
    lines = ['']
    for letter in text:
        if font.getlength(lines[-1] + letter) > width:
            head, space, tail = lines[-1].rpartition(' ')
            lines[-1:] = [head, tail] if space and head else [lines[-1], '']
        lines[-1] += letter
    return lines
