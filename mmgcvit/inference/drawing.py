"""Draw predictions or ground truth on images, in one style for all tasks.

Each class has one colour; in a tracked video each object has one. Text and lines grow with the picture. Calls share
only fonts, so threads may draw at once.
"""

import colorsys
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import supervision as sv

from .results import Classification, Detections, Panoptic, Prediction, Segmentation

Colour = tuple[int, int, int]
FONT = str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf'))
# Golden-ratio steps keep the hues of neighbouring classes apart.
GOLDEN_RATIO = 0.618
OPACITY = 0.5
# The size of text in pixels: at least, and as a share of a picture's mean side. Lines are a share of the text size.
MIN_TEXT_SIZE, TEXT_SIZE, LINE_WIDTH = 11, 1 / 48, 1 / 7
# Regions are named from this share of the image on; their middle is looked for in a map of at most this side.
MIN_NAMED_SHARE, MAX_MAP_SIDE = 0.001, 512
# More labels than these are not moved apart, which compares all pairs of them many times.
MAX_LABELS_MOVED = 100
# Painting the background of a segmentation would hide the photo.
BACKGROUND = 'background'


def choose_palette(number: int, palettes: Iterable[Any] = ()) -> list[Colour]:
    """A colour (red, green, blue) for each class: the first palette that fits, else different hues."""
    # mmseg makes up this palette for data sets without one: at random, so that classes may look alike.
    made_up = np.random.RandomState(42).randint(0, 255, (number, 3)).tolist()
    for palette in palettes:
        fits = isinstance(palette, Sequence) and len(palette) == number and all(map(is_colour, palette))
        if fits and list(map(list, palette)) != made_up:
            return [tuple(colour) for colour in palette]
    return list(map(make_hue, range(number)))


def is_colour(value: Any) -> bool:
    """Whether a value is red, green and blue of eight bits."""
    is_three = isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 3
    return is_three and all(isinstance(part, int) and 0 <= part <= 255 for part in value)


def make_hue(label: int) -> Colour:
    """The colour of a class that has none of its own."""
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(label * GOLDEN_RATIO % 1.0, 0.75, 1.0))


def get_colour(label: int, palette: Sequence[Colour]) -> Colour:
    """The colour of a class; a network may have more classes than its palette has colours."""
    return palette[label] if label < len(palette) else make_hue(int(label))


def choose_text_colour(colour: Colour) -> Colour:
    """Black or white, whichever contrasts more with a colour, by WCAG's relative luminance."""
    parts = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in np.divide(colour, 255))
    return (0, 0, 0) if np.dot((0.2126, 0.7152, 0.0722), list(parts)) > 0.179 else (255, 255, 255)


def choose_text_size(canvas: np.ndarray, boxes: np.ndarray | None = None) -> int:
    """The text size for a picture (height, width, 3), in pixels; at most a third of the median box height."""
    size = TEXT_SIZE * math.sqrt(canvas.shape[0] * canvas.shape[1])
    if boxes is not None and len(boxes):
        size = min(size, np.median(boxes[:, 3] - boxes[:, 1]) / 3)
    return max(MIN_TEXT_SIZE, round(size))


def draw_prediction(
    image: np.ndarray,
    found: Prediction | None,
    palette: Sequence[Colour],
    scale: float = 1.0,
    with_scores: bool = True,
) -> np.ndarray:
    """Draw a prediction or the ground truth into a copy of an image.

    Args:
        image: (height, width, 3) uint8, blue, green, red.
        found: What to draw; None for nothing.
        palette: A colour for each class, red, green, blue.
        scale: The picture is so much larger than the image; lines and text are drawn at its size.
        with_scores: Ground truth has no scores.

    Returns:
        (height, width, 3) uint8, blue, green, red.
    """
    canvas = image.copy()
    if scale != 1:
        size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
        canvas = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    if isinstance(found, Classification):
        text = f'{found.class_name} {found.score:.2f}' if with_scores else found.class_name
        return draw_labels(canvas, [(0, 0)], [text], [get_colour(found.label, palette)], choose_text_size(canvas))
    if isinstance(found, Panoptic):
        numbers = range(1, len(found.segment_labels) + 1)
        colours = [get_colour(label, palette) for label in found.segment_labels]
        return draw_regions(canvas, found.segment_map, numbers, found.segment_names, colours, has_outlines=True)
    if isinstance(found, Segmentation):
        colours = [get_colour(label, palette) for label in found.labels]
        return draw_regions(canvas, found.label_map, found.labels, found.class_names, colours)
    if found is not None:
        return draw_objects(canvas, resize_objects(found, scale, canvas.shape[:2]), palette, with_scores)
    return canvas


def resize_objects(found: Detections, scale: float, size: tuple[int, int]) -> Detections:
    """Detections in a picture that is so much larger, of size (height, width)."""
    if scale == 1:
        return found
    masks = found.masks
    if isinstance(masks, np.ndarray):
        shapes = [cv2.resize(mask.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST) for mask in masks]
        masks = np.array(shapes, bool).reshape(-1, *size)
    elif masks is not None:
        masks = masks.resize(size)
    return replace(found, boxes=found.boxes * np.float32(scale), masks=masks)


def draw_objects(canvas: np.ndarray, found: Detections, palette: Sequence[Colour], with_scores: bool) -> np.ndarray:
    """Draw masks, boxes and names, those of the highest scores on top. A tracked object has a number and a colour."""
    if not len(found):
        return canvas
    found = found.select(np.arange(len(found))[::-1])
    objects = found.to_supervision()
    objects.xyxy = objects.xyxy.round().clip(0, np.tile(np.subtract(canvas.shape[1::-1], 1), 2))
    is_tracked = found.ids is not None
    colours = (
        [make_hue(number) for number in found.ids]
        if is_tracked
        else [get_colour(label, palette) for label in found.labels]
    )
    style = {'color': as_palette(colours), 'color_lookup': sv.ColorLookup.INDEX}
    size = choose_text_size(canvas, found.boxes)
    canvas = sv.MaskAnnotator(opacity=OPACITY, **style).annotate(canvas, objects)
    canvas = sv.PolygonAnnotator(thickness=1, **style).annotate(canvas, objects)
    canvas = sv.BoxAnnotator(thickness=max(1, round(size * LINE_WIDTH)), **style).annotate(canvas, objects)
    texts = (
        [f'{name} #{number}' for name, number in zip(found.class_names, found.ids, strict=True)]
        if is_tracked
        else (found.class_names)
    )
    if with_scores:
        texts = [f'{text} {score:.2f}' for text, score in zip(texts, found.scores, strict=True)]
    return draw_labels(canvas, objects.xyxy[:, :2], texts, colours, size)


def draw_regions(
    canvas: np.ndarray,
    numbers: np.ndarray,
    regions: Sequence[int],
    names: Sequence[str],
    colours: Sequence[Colour],
    has_outlines: bool = False,
) -> np.ndarray:
    """Colour the regions of a map (height, width) of numbers, and write their names where most of each is."""
    size = canvas.shape[1::-1]
    numbers = cv2.resize(numbers.astype(np.uint16), size, interpolation=cv2.INTER_NEAREST)
    chosen = [each for each in zip(regions, names, colours, strict=True) if each[1] != BACKGROUND]
    table, is_painted = np.zeros((1 << 16, 3), np.uint8), np.zeros(1 << 16, bool)
    for number, _, colour in chosen:
        table[number], is_painted[number] = colour[::-1], True
    coloured, painted = table[numbers], is_painted[numbers]
    canvas[painted] = cv2.addWeighted(coloured, OPACITY, canvas, 1 - OPACITY, 0)[painted]
    if has_outlines:
        edges = painted & (cv2.morphologyEx(numbers, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0)
        canvas[edges] = coloured[edges]
    middles = [find_middle(numbers == number) for number, *_ in chosen]
    named = [(middle, *each[1:]) for middle, each in zip(middles, chosen, strict=True) if middle is not None]
    if not named:
        return canvas
    return draw_labels(canvas, *zip(*named, strict=True), choose_text_size(canvas), position=sv.Position.CENTER)


def draw_labels(
    canvas: np.ndarray,
    places: Sequence[tuple[float, float]],
    texts: Sequence[str],
    colours: Sequence[Colour],
    size: int,
    position: sv.Position = sv.Position.TOP_LEFT,
) -> np.ndarray:
    """Write texts of a size in pixels on grounds of these colours at places x, y, moved apart if they overlap."""
    points = sv.Detections(xyxy=np.tile(np.array(places, np.float32), (1, 2)))
    annotator = sv.RichLabelAnnotator(
        color=as_palette(colours),
        color_lookup=sv.ColorLookup.INDEX,
        text_color=as_palette(list(map(choose_text_colour, colours))),
        font_path=FONT,
        font_size=size,
        text_padding=size // 4,
        text_position=position,
        smart_position=len(texts) <= MAX_LABELS_MOVED,
    )
    return annotator.annotate(canvas, points, labels=list(texts))


def as_palette(colours: Sequence[Colour]) -> sv.ColorPalette:
    return sv.ColorPalette([sv.Color(*map(int, colour)) for colour in colours])


def find_middle(mask: np.ndarray) -> tuple[float, float] | None:
    """The point (x, y) of a mask (height, width) farthest from its edges; None if the mask is very small."""
    height, width = mask.shape
    shrink = min(1.0, MAX_MAP_SIDE / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA if shrink < 1 else cv2.INTER_NEAREST)
    if small.sum() < MIN_NAMED_SHARE * small.size:
        return None
    depth = cv2.distanceTransform(np.pad(small, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return (x + 0.5) * width / size[0], (y + 0.5) * height / size[1]
