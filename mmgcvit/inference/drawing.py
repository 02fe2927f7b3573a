"""Draw predictions or ground truth on images with supervision's annotators, in one style for all tasks.

Colours belong to classes, or to objects in a tracked video. Text and line sizes depend on the picture. Functions are
thread-safe.
"""

import colorsys
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import supervision as sv
from scipy.ndimage import center_of_mass

from .results import Classification, Detections, Prediction, Segmentation

Colour = tuple[int, int, int]
FONT = str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf'))
# Golden-ratio steps keep the hues of neighbouring classes apart.
GOLDEN_RATIO = 0.618
OPACITY = 0.5
# Text size in pixels (minimum) and relative to the mean side of the picture; line width relative to the text size.
MIN_TEXT_SIZE, TEXT_SIZE, LINE_WIDTH = 11, 1 / 48, 1 / 7
# Regions with a smaller share of the image have no label.
MIN_NAMED_SHARE = 0.001
# With more labels, overlapping ones are not moved apart, since that compares all pairs.
MAX_LABELS_MOVED = 100
# The background of a segmentation is not painted, as it would hide the photo.
BACKGROUND = 'background'


def choose_palette(number: int, palettes: Iterable[Any] = ()) -> list[Colour]:
    """Return an RGB colour for each class: the first palette of matching length, else distinct hues."""
    for palette in palettes:
        if palette is not None and np.shape(palette) == (number, 3):
            return [tuple(colour) for colour in palette]
    return list(map(make_hue, range(number)))


def make_hue(label: int) -> Colour:
    """Return the colour of a class index."""
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(label * GOLDEN_RATIO % 1.0, 0.75, 1.0))


def choose_text_colour(colour: Colour) -> Colour:
    """Choose black or white for text on a colour, by its luma (BT.601)."""
    return (0, 0, 0) if np.dot((0.299, 0.587, 0.114), colour) > 127 else (255, 255, 255)


def choose_text_size(canvas: np.ndarray, boxes: np.ndarray | None = None) -> int:
    """Choose the text size in pixels for a picture (height, width, 3); at most a third of the median box height."""
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
    """Draw a prediction or the ground truth on a copy of an image.

    Args:
        image: (height, width, 3) uint8 in BGR order.
        found: The prediction or ground truth; None draws nothing.
        palette: An RGB colour for each class.
        scale: Size of the picture relative to the image.
        with_scores: Whether to draw scores, which ground truth does not have.

    Returns:
        (height, width, 3) uint8 in BGR order.
    """
    if isinstance(found, Classification):
        canvas = resize(image, scale)
        text = f'{found.class_name} {found.score:.2f}' if with_scores else found.class_name
        return draw_labels(canvas, [(0, 0)], [text], [palette[found.label]], choose_text_size(canvas))
    if isinstance(found, Segmentation):
        return draw_regions(image, found, palette, scale)
    return draw_objects(image, found, palette, scale, with_scores) if found else resize(image, scale)


def resize(image: np.ndarray, scale: float) -> np.ndarray:
    """Resize an image by a factor."""
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def draw_objects(
    image: np.ndarray, found: Detections, palette: Sequence[Colour], scale: float, with_scores: bool
) -> np.ndarray:
    """Draw masks, boxes and labels, with the highest scores on top. Tracked objects have an id and their own colour."""
    found = found.select(np.arange(len(found))[::-1])
    objects, texts, colours = found.to_supervision(), found.class_names, [palette[label] for label in found.labels]
    if found.ids is not None:
        texts = [f'{name} #{number}' for name, number in zip(texts, found.ids, strict=True)]
        colours = list(map(make_hue, found.ids))
    if with_scores:
        texts = [f'{text} {score:.2f}' for text, score in zip(texts, found.scores, strict=True)]
    style = {'color': as_palette(colours), 'color_lookup': sv.ColorLookup.INDEX}
    canvas = resize(sv.MaskAnnotator(opacity=OPACITY, **style).annotate(image.copy(), objects), scale)
    objects.mask, limits = None, np.tile(np.subtract(canvas.shape[1::-1], 1), 2)
    objects.xyxy = (objects.xyxy * scale).round().clip(0, limits)
    size = choose_text_size(canvas, objects.xyxy)
    canvas = sv.BoxAnnotator(thickness=max(1, round(size * LINE_WIDTH)), **style).annotate(canvas, objects)
    return draw_labels(canvas, objects.xyxy[:, :2], texts, colours, size)


def draw_regions(image: np.ndarray, found: Segmentation, palette: Sequence[Colour], scale: float) -> np.ndarray:
    """Draw the regions of a segmentation map with outlines, and label their centres."""
    label_map = found.label_map.astype(np.uint16)
    is_painted = np.array([name != BACKGROUND for name in found.class_names], bool)
    is_named = is_painted & (found.areas >= MIN_NAMED_SHARE * label_map.size)
    colours = np.zeros((1 << 16, 3), np.uint8)
    colours[found.labels] = np.reshape([palette[label][::-1] for label in found.labels], (-1, 3))
    coloured, painted = colours[label_map], np.isin(label_map, found.labels[is_painted])
    canvas = image.copy()
    canvas[painted] = cv2.addWeighted(coloured, OPACITY, canvas, 1 - OPACITY, 0)[painted]
    edges = painted & (cv2.morphologyEx(label_map, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0)
    canvas[edges] = coloured[edges]
    canvas, named = resize(canvas, scale), np.flatnonzero(is_named)
    if not len(named):
        return canvas
    middles = np.array(center_of_mass(np.ones_like(label_map), label_map, found.labels[named]))[:, ::-1]
    texts, grounds = [found.class_names[number] for number in named], [palette[found.labels[n]] for n in named]
    return draw_labels(canvas, middles * scale, texts, grounds, choose_text_size(canvas), sv.Position.CENTER)


def draw_labels(
    canvas: np.ndarray,
    places: Sequence[tuple[float, float]],
    texts: Sequence[str],
    colours: Sequence[Colour],
    size: int,
    position: sv.Position = sv.Position.TOP_LEFT,
) -> np.ndarray:
    """Draw labels on coloured backgrounds at positions (x, y), and move overlapping ones apart."""
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
