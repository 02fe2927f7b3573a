"""What is predicted for an image, or true of it, drawn in: one look for all pictures, whatever the host.

A class has one colour, of a tracked video an object. Words are as large as the picture asks for, from contact sheets of
the data to predictions.
Calls share nothing but fonts: threads may draw at once.
"""

import colorsys
import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .results import Classification, Detections, Panoptic, Part, Prediction, Segmentation

Colour = tuple[int, int, int]
# Of neighbouring hues, golden-ratio steps keep those of neighbouring classes apart.
GOLDEN_RATIO = 0.618
# How much of a mask, or of a class's pixels, is colour.
OPACITY = 0.5
# How high letters are in pixels: at least, and as a share of a picture's mean side. Lines are a share of that.
SMALLEST_LETTERS, LETTERS, LINES = 11, 1 / 48, 1 / 7
# Names are placed in a map of this size at most, in areas of at least this share of it.
LONGEST_SIDE, SMALLEST_SHARE = 512, 0.001


def palette_of(number: int, palettes: Iterable[Any] = ()) -> list[Colour]:
    """A colour for each of so many classes, red, green, blue: of the first palette that fits, else different hues."""
    # mmseg's, of data sets that have none: by chance, so that classes may look alike.
    made_up = np.random.RandomState(42).randint(0, 255, (number, 3)).tolist()
    for palette in palettes:
        fits = isinstance(palette, Sequence) and len(palette) == number and all(map(is_colour, palette))
        if fits and list(map(list, palette)) != made_up:
            return [tuple(colour) for colour in palette]
    return list(map(hue_of, range(number)))


def is_colour(value: Any) -> bool:
    """Whether something is red, green and blue of eight bits."""
    is_three = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3
    return is_three and all(isinstance(part, int) and 0 <= part <= 255 for part in value)


def hue_of(label: int) -> Colour:
    """The colour of a class that has none of its own."""
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(label * GOLDEN_RATIO % 1.0, 0.75, 1.0))


def ink_on(colour: Colour) -> str:
    """Black or white, whichever is easier to read on a colour: relative luminance as WCAG defines it."""
    parts = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in np.divide(colour, 255))
    return 'black' if np.dot((0.2126, 0.7152, 0.0722), list(parts)) > 0.179 else 'white'


@lru_cache
def font_of(height: int) -> ImageFont.FreeTypeFont:
    """The font of all pictures, with letters so many pixels high."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')), height)


def letters_of(canvas: np.ndarray, boxes: np.ndarray | None = None) -> int:
    """How high letters are in a picture (height, width, 3), in pixels; a third of most of its boxes (n, 4) at most."""
    letters = LETTERS * math.sqrt(canvas.shape[0] * canvas.shape[1])
    if boxes is not None and len(boxes):
        letters = min(letters, np.median(boxes[:, 3] - boxes[:, 1]) / 3)
    return max(SMALLEST_LETTERS, round(letters))


def drawn(
    image: np.ndarray,
    found: Prediction | None,
    palette: Sequence[Colour],
    scale: float = 1.0,
    with_scores: bool = True,
) -> np.ndarray:
    """Draw what is predicted for an image, or true of it (None: nothing), into a copy of it that is so much larger.

    Both are (height, width, 3) uint8, blue, green, red; lines and words are as large as the picture asks for. What is
    true has no scores behind names.
    """
    canvas = np.array(image[..., ::-1], order='C')
    if scale != 1:
        size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        canvas = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    if isinstance(found, Classification):
        score = f' {found.score:.2f}' if with_scores else ''
        write(canvas, found.class_name + score, colour_of(found.label, palette), 0, 0, letters_of(canvas))
    elif isinstance(found, Panoptic):
        segments = enumerate(zip(found.segment_labels, found.segment_names, strict=True), start=1)
        regions = [(number, name, colour_of(label, palette)) for number, (label, name) in segments]
        draw_regions(canvas, found.segment_map, regions, is_outlined=True)
    elif isinstance(found, Segmentation):
        classes = zip(found.labels, found.class_names, strict=True)
        draw_regions(canvas, found.label_map, [(label, name, colour_of(label, palette)) for label, name in classes])
    elif found is not None:
        draw_objects(canvas, found, palette, scale, with_scores)
    return np.ascontiguousarray(canvas[..., ::-1])


def draw_objects(
    canvas: np.ndarray, found: Detections, palette: Sequence[Colour], scale: float, with_scores: bool
) -> None:
    """Masks, boxes and names: of the surest last, over the others. A tracked object has a number and its colour."""
    size = canvas.shape[1::-1]
    letters = letters_of(canvas, found.boxes * scale)
    width = max(1, round(letters * LINES))
    boxes = (found.boxes * scale).round().clip(0, np.subtract(size * 2, 1)).astype(int).tolist()
    order = range(len(found))[::-1]
    colours = [colour_of(label, palette) for label in found.labels]
    names = found.class_names
    if found.ids is not None:
        colours = list(map(hue_of, found.ids))
        names = [f'{name} #{number}' for name, number in zip(names, found.ids, strict=True)]
    for number in order:
        if found.masks is not None:
            part = found.part(number) if scale == 1 else Part.of(resized(found.masks[number], size))
            blend(canvas, part, colours[number], is_outlined=True)
        cv2.rectangle(canvas, boxes[number][:2], boxes[number][2:], colours[number], width)
    for number in order:
        score = f' {found.scores[number]:.2f}' if with_scores else ''
        left, top = boxes[number][:2]
        write(canvas, names[number] + score, colours[number], left, top, letters)


def draw_regions(
    canvas: np.ndarray, numbers: np.ndarray, regions: Sequence[tuple[int, str, Colour]], is_outlined: bool = False
) -> None:
    """Regions of a map (height, width) of numbers, and their names where most of each is; other pixels stay."""
    numbers = resized(numbers, canvas.shape[1::-1])
    for number, _, colour in regions:
        blend(canvas, Part.of(numbers == number), colour, is_outlined)
    for number, name, colour in regions:
        place = middle_of(numbers == number)
        if place is not None:
            write(canvas, name, colour, *place, letters_of(canvas), is_centred=True)


def colour_of(label: int, palette: Sequence[Colour]) -> Colour:
    """The colour of a class; a palette may have fewer than a network."""
    return palette[label] if label < len(palette) else hue_of(int(label))


def resized(numbers: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask or label map in a picture's size (width, height)."""
    numbers = numbers.astype(np.uint8 if numbers.dtype == bool else np.uint16)
    return numbers if numbers.shape[::-1] == size else cv2.resize(numbers, size, interpolation=cv2.INTER_NEAREST)


def blend(canvas: np.ndarray, part: Part, colour: Colour, is_outlined: bool = False) -> None:
    """Colour the pixels of a mask, so that the picture is seen through."""
    if not part.mask.size:
        return
    seen, mask = canvas[part.place()], part.mask.astype(bool)
    # Of the 256 values of a channel each with the colour over it: no picture of decimal numbers is made.
    table = ((1 - OPACITY) * np.arange(256)[:, None] + OPACITY * np.array(colour)).astype(np.uint8)
    np.copyto(seen, cv2.LUT(seen, table[None]), where=mask[..., None])
    if is_outlined:
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(seen, outlines, -1, colour, 1)


def write(
    canvas: np.ndarray, words: str, colour: Colour, x: float, y: float, letters: int, is_centred: bool = False
) -> None:
    """Words on a ground of a class's colour: above a place, below it where there is no room, or around it."""
    font, margin = font_of(letters), letters // 4
    width, height = math.ceil(font.getlength(words)) + 2 * margin, sum(font.getmetrics()) + margin
    plate = Image.new('RGB', (width, height), tuple(colour))
    ImageDraw.Draw(plate).text((margin, margin // 2), words, ink_on(colour), font)
    y = y - height / 2 if is_centred else y - height if y >= height else y
    x = x - width / 2 if is_centred else x
    left, top = (
        max(0, min(round(place), side - length))
        for place, side, length in zip((x, y), canvas.shape[1::-1], (width, height), strict=True)
    )
    part = canvas[top : top + height, left : left + width]
    part[:] = np.asarray(plate)[: part.shape[0], : part.shape[1]]


def middle_of(mask: np.ndarray) -> tuple[float, float] | None:
    """The point (x, y) of a mask (height, width) farthest from its edges and the image's; None of too small a mask."""
    height, width = mask.shape
    shrink = min(1.0, LONGEST_SIDE / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA if shrink < 1 else cv2.INTER_NEAREST)
    if small.sum() < SMALLEST_SHARE * small.size:
        return None
    depth = cv2.distanceTransform(np.pad(small, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return (x + 0.5) * width / size[0], (y + 0.5) * height / size[1]
