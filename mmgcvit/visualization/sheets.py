"""Sheets: pictures in cells of one size, words under each, in rows. Larger is a picture of one image, the truth and the
prediction side by side.

``browsing.py`` has sheets of a data set's samples, ``predictions.py`` of what is predicted for them.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..inference import Prediction
from ..inference.drawing import Colour, drawn, font_of

# So many cells stand side by side.
COLUMNS = 4
# Width and height of a picture, and height of the line under it, in pixels.
CELL, CAPTION = (400, 300), 26
# Of pictures side by side: sides in pixels, to which as small images as digits are enlarged and large photos made
# smaller; and what is between them.
SMALLEST, LARGEST = 320, 800
GAP = 8


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
