"""Draw predictions or ground truth on images with supervision's annotators, in one style for all
tasks.
"""

import colorsys
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
from scipy.ndimage import center_of_mass

from ..errors import OptionalModule
from .results import Classification, Detections, Prediction, Segmentation

sv = OptionalModule('supervision', 'drawing')

Colour = tuple[int, int, int]
FONT = str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf'))
# The hues of consecutive class indices differ by this fraction of the colour circle, so that they
# look different.
GOLDEN_RATIO = 0.618
OPACITY = 0.5  # of masks and of segmented regions
MIN_TEXT_SIZE = 11  # in pixels
TEXT_SIZE = 1 / 48  # text size / geometric mean of the picture's sides
LINE_WIDTH = 1 / 7  # line width / text size
MIN_LABELLED_SHARE = 0.001  # classes that cover a smaller share of the image get no label
# With more objects, labels would hide the image. Those of a single class first lose its name, then
# all are left out.
MAX_NAMED, MAX_LABELLED = 8, 25
# In a segmentation, a class 0 of such a name is not painted, because its colour would hide the
# photo.
BACKGROUND = re.compile(
    r'[\W_]*(back_?ground|bg|void|none|other|unlabell?ed|(class|label)?[ _]?0)[\W_]*', re.I
)


def choose_palette(num_classes: int, palettes: Iterable[Any] = ()) -> list[Colour]:
    """Return the first of ``palettes`` with ``num_classes`` RGB colours, or distinct hues if there
    is none.
    """
    for palette in palettes:
        if palette is not None and np.shape(palette) == (num_classes, 3):
            return [tuple(colour) for colour in palette]
    hues = (index * GOLDEN_RATIO % 1.0 for index in range(num_classes))
    return [
        tuple(round(255 * value) for value in colorsys.hsv_to_rgb(hue, 0.75, 1.0)) for hue in hues
    ]


def choose_text_size(canvas: np.ndarray, max_size: float = math.inf) -> int:
    """Choose the text size in pixels for a picture (height, width, 3)."""
    return max(
        MIN_TEXT_SIZE,
        round(min(TEXT_SIZE * math.sqrt(canvas.shape[0] * canvas.shape[1]), max_size)),
    )


def draw_prediction(
    image: np.ndarray,
    prediction: Prediction | None,
    palette: Sequence[Colour],
    scale: float = 1.0,
    with_scores: bool = True,
    with_labels: bool = True,
) -> np.ndarray:
    """Draw a prediction or the ground truth on a copy of an image (height, width, 3), uint8 in BGR
    order.

    The copy is resized by the factor ``scale``. ``palette`` has an RGB colour for each class; if it
    has only one, each object has a colour of its own. Labels are class names and, with
    ``with_scores``, scores, which ground truth does not have. None as prediction draws nothing.
    """
    if isinstance(prediction, Segmentation):
        canvas, labels = draw_regions(image, prediction, palette, scale)
    elif isinstance(prediction, Detections) and len(prediction):
        canvas, labels = draw_objects(image, prediction, palette, scale, with_scores)
    else:
        canvas, labels = resize(image, scale), None
    if isinstance(prediction, Classification):
        text = (
            f'{prediction.class_name} {prediction.score:.2f}'
            if with_scores
            else prediction.class_name
        )
        labels = [(0, 0)], [text], [palette[prediction.label]], choose_text_size(canvas)
    return draw_labels(canvas, *labels) if labels and with_labels else canvas


def resize(image: np.ndarray, scale: float) -> np.ndarray:
    """Resize an image by the factor ``scale``."""
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def draw_objects(
    image: np.ndarray,
    prediction: Detections,
    palette: Sequence[Colour],
    scale: float,
    with_scores: bool,
) -> tuple[np.ndarray, tuple | None]:
    """Draw masks and boxes, those with the highest scores on top.

    Return the picture, and arguments of draw_labels.
    """
    prediction, is_single_class = (
        prediction.select(np.arange(len(prediction))[::-1]),
        len(palette) == 1,
    )
    objects, texts = prediction.to_supervision(), prediction.class_names
    colours = [palette[label] for label in prediction.labels]
    if is_single_class:
        colours = choose_palette(len(prediction), [palette])
    if with_scores:
        names = [''] * len(texts) if is_single_class and len(texts) > MAX_NAMED else texts
        texts = [
            f'{name} {score:.2f}'.strip()
            for name, score in zip(names, prediction.scores, strict=True)
        ]
    style = {'color': convert_palette(colours), 'color_lookup': sv.ColorLookup.INDEX}
    canvas = resize(
        sv.MaskAnnotator(opacity=OPACITY, **style).annotate(image.copy(), objects), scale
    )
    objects.mask, max_xyxy = None, np.tile(np.subtract(canvas.shape[1::-1], 1), 2)
    objects.xyxy = (objects.xyxy * scale).round().clip(0, max_xyxy)
    # Prefer text of at most a third of the median height of the boxes.
    size = choose_text_size(canvas, np.median(objects.xyxy[:, 3] - objects.xyxy[:, 1]) / 3)
    canvas = sv.BoxAnnotator(thickness=max(1, round(size * LINE_WIDTH)), **style).annotate(
        canvas, objects
    )
    return canvas, (objects.xyxy[:, :2], texts, colours, size) if len(
        objects
    ) <= MAX_LABELLED else None


def draw_regions(
    image: np.ndarray, prediction: Segmentation, palette: Sequence[Colour], scale: float
) -> tuple[np.ndarray, tuple | None]:
    """Draw the regions of a segmentation map with outlines.

    Return the picture, and arguments of draw_labels.
    """
    label_map, labels, names = (
        prediction.label_map.astype(np.uint16),
        prediction.labels,
        prediction.class_names,
    )
    is_background = [
        not label and BACKGROUND.fullmatch(name) for label, name in zip(labels, names, strict=True)
    ]
    is_painted = ~np.array(is_background, bool)
    is_labelled = is_painted & (prediction.areas >= MIN_LABELLED_SHARE * label_map.size)
    colours = np.zeros(
        (1 << 16, 3), np.uint8
    )  # a BGR colour for each value that label_map may have
    colours[labels] = np.reshape([palette[label][::-1] for label in labels], (-1, 3))
    coloured, painted = colours[label_map], np.isin(label_map, labels[is_painted])
    canvas = image.copy()
    canvas[painted] = cv2.addWeighted(coloured, OPACITY, canvas, 1 - OPACITY, 0)[painted]
    edges = painted & (
        cv2.morphologyEx(label_map, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    )
    canvas[edges] = coloured[edges]
    canvas, labelled = resize(canvas, scale), np.flatnonzero(is_labelled)
    if not len(labelled):
        return canvas, None
    centres = np.array(center_of_mass(np.ones_like(label_map), label_map, labels[labelled]))[
        :, ::-1
    ]
    texts, backgrounds = (
        [names[index] for index in labelled],
        [palette[labels[index]] for index in labelled],
    )
    return canvas, (centres * scale, texts, backgrounds, choose_text_size(canvas), 'CENTER')


def draw_labels(
    canvas: np.ndarray,
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    colours: Sequence[Colour],
    size: int,
    position: str = 'TOP_LEFT',
) -> np.ndarray:
    """Draw labels at points (x, y), with ``colours`` as backgrounds, and move overlapping labels
    apart.
    """
    anchors = sv.Detections(xyxy=np.tile(np.array(points, np.float32), (1, 2)))
    # Text is black or white, by the luma of its background (BT.601).
    text_colours = [
        (0,) * 3 if np.dot((0.299, 0.587, 0.114), colour) > 127 else (255,) * 3
        for colour in colours
    ]
    annotator = sv.RichLabelAnnotator(
        color=convert_palette(colours),
        color_lookup=sv.ColorLookup.INDEX,
        text_color=convert_palette(text_colours),
        font_path=FONT,
        font_size=size,
        text_padding=size // 4,
        text_position=sv.Position[position],
        smart_position=True,
    )
    return annotator.annotate(canvas, anchors, labels=list(texts))


def convert_palette(colours: Sequence[Colour]) -> 'sv.ColorPalette':
    """Convert RGB colours to a ``supervision.ColorPalette``."""
    return sv.ColorPalette([sv.Color(*map(int, colour)) for colour in colours])
