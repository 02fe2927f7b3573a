"""A worst image with what is true of it beside what is predicted, and why it is one."""

import cv2
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from ...inference import Classification
from .finding import Judged
from .truths import Truths

# Sides of the drawn image in pixels: as small ones as digits are enlarged, large photos are made smaller.
SMALLEST, LARGEST = 320, 800
FONT, LINE, GAP = 15, 24, 8


def picture_of(judged: Judged, truths: Truths) -> np.ndarray:
    """Draw an image twice, with the truth and with the prediction.

    Returns:
        (height, width, 3) uint8, blue, green, red.

    Raises:
        UserError: It can no longer be read.
    """
    info = truths.info(judged.number)
    image = truths.image(info)
    truth = truths.truth(info, image)
    predicted = fitted(truths.model.draw(image, judged.prediction))
    if isinstance(truth, Classification):
        # The host would write "prediction" into it.
        heading, true = f'truth: {truth.class_name}', cv2.resize(image, predicted.shape[1::-1])
    else:
        heading, true = 'truth', fitted(truths.model.draw(image, truth))
    words = [f'{judged.verdict.score:.3f}: {judged.verdict.why}', info['img_path']]
    headings = {GAP // 2: heading, true.shape[1] + GAP: 'prediction'}
    return with_words(np.concatenate([true, gap_of(true), predicted], axis=1), words, headings)


def fitted(image: np.ndarray) -> np.ndarray:
    """An image whose longer side is legible, and no larger than a screen."""
    longest = max(image.shape[:2])
    scale = min(max(longest, SMALLEST), LARGEST) / longest
    if scale == 1:
        return image
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def gap_of(image: np.ndarray) -> np.ndarray:
    """What stands between two images."""
    return np.full((image.shape[0], GAP, 3), 255, np.uint8)


def with_words(picture: np.ndarray, words: list[str], headings: dict[int, str]) -> np.ndarray:
    """Headings above both sides, and lines below.

    Args:
        picture: (height, width, 3), blue, green, red.
        words: The lines; what does not fit goes on in another one.
        headings: By the pixel at which they begin.
    """
    font = ImageFont.truetype(font_manager.findfont('DejaVu Sans'), FONT)
    height, width = picture.shape[:2]
    lines = [line for text in words for line in broken(text, font, width - GAP)]
    canvas = Image.new('RGB', (width, height + LINE * (len(lines) + 1)), 'white')
    canvas.paste(Image.fromarray(np.ascontiguousarray(picture[..., ::-1])), (0, LINE))
    draw = ImageDraw.Draw(canvas)
    for left, heading in headings.items():
        draw.text((left, 3), heading, 'black', font)
    for number, line in enumerate(lines):
        draw.text((GAP // 2, height + LINE * (number + 1) + 3), line, 'black', font)
    return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])


def broken(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """A text in lines that are not wider than so many pixels, broken anywhere where a word is."""
    lines = ['']
    for letter in text:
        if font.getlength(lines[-1] + letter) > width:
            head, space, tail = lines[-1].rpartition(' ')
            lines[-1:] = [head, tail] if space and head else [lines[-1], '']
        lines[-1] += letter
    return lines
