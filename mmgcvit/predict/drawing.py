"""Draw predictions or ground truth on images with supervision's annotators, in one style for all
tasks.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import matplotlib
import mmcv
import numpy as np
from numpy.typing import NDArray

from ..ops.requirements import check_installed
from .results import Classification, Detections, Prediction, Segmentation

if TYPE_CHECKING:
    import supervision

Picture = NDArray[np.uint8]  # (height, width, 3) in BGR order
Colour = tuple[int, int, int]  # RGB
BLACK = (0, 0, 0)
WHITE = (255, 255, 255)
FONT = str(Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf'))
# Colours are chosen among those whose red, green and blue are multiples of this number. In CIELAB,
# their lightness is neither that of dark nor that of bright pictures, and they are not greys.
COLOUR_STEP = 17
LIGHTNESS = (35, 95)
MIN_CHROMA = 30
OPACITY = 0.5  # of masks and of segmented regions
MIN_TEXT_SIZE = 11  # in pixels
TEXT_SIZE = 1 / 48  # text size / geometric mean of the picture's sides
LINE_WIDTH = 1 / 7  # line width / text size
MIN_LABELLED_SHARE = 0.001  # classes that cover a smaller share of the image get no label
MAX_LABELLED = 25  # with more objects, labels would hide the image: a legend replaces them
MAX_LEGEND = 0.5  # the largest part of a picture's height that a legend takes
# In a segmentation, a class of such a name is not painted, because its colour would hide the photo:
# at any place of the classes, as in CVAT's labelmap.txt, or only as the first of them. Elsewhere
# these may be classes, such as a void in concrete.
BACKGROUND = re.compile(r'[\W_]*(back[ _-]?ground|bg)[\W_]*', re.I)
FIRST_BACKGROUND = re.compile(
    r'[\W_]*(void|none|other|unlabell?ed|(class|label)?[ _]?0)[\W_]*', re.I
)


@dataclass(frozen=True)
class Style:
    """How a prediction or the ground truth is drawn."""

    palette: Sequence[Colour]  # for each class; if there is only one, each object has its own
    scale: float = 1.0  # side of the picture / side of the image
    with_scores: bool = True  # which ground truth does not have
    with_labels: bool = True  # class names and scores


def choose_palette(num_classes: int, palettes: Iterable[Any] = ()) -> list[Colour]:
    """Return the first of ``palettes`` with ``num_classes`` RGB colours, or colours that look
    different if there is none.
    """
    for palette in palettes:
        if np.shape(palette) == (num_classes, 3):
            return [(red, green, blue) for red, green, blue in palette]
    ordered = order_colours(num_classes)
    return [ordered[index % len(ordered)] for index in range(num_classes)]


@cache
def order_colours(count: int) -> list[Colour]:
    """Return ``count`` RGB colours, or all if there are fewer, each with the largest distance in
    CIELAB from those before it.
    """
    levels = np.arange(0, 256, COLOUR_STEP, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    lab = cv2.cvtColor(colours[None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0]
    lightness = lab[:, 0]
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    is_visible = (lightness >= LIGHTNESS[0]) & (lightness <= LIGHTNESS[1])
    is_candidate = is_visible & (chroma >= MIN_CHROMA)
    colours = colours[is_candidate]
    lab = lab[is_candidate]
    chosen = int(chroma[is_candidate].argmax())
    distances = np.full(len(lab), np.inf)
    ordered = []
    for _ in range(min(count, len(lab))):
        red, green, blue = colours[chosen].tolist()
        ordered.append((red, green, blue))
        distances = np.minimum(distances, np.linalg.norm(lab - lab[chosen], axis=1))
        chosen = int(distances.argmax())
    return ordered


def choose_text_size(canvas: Picture, max_size: float = math.inf) -> int:
    """Choose the text size in pixels for a picture (height, width, 3)."""
    height, width = canvas.shape[:2]
    size = min(TEXT_SIZE * math.sqrt(height * width), max_size)
    return max(MIN_TEXT_SIZE, round(size))


def draw_prediction(
    image: Picture,
    prediction: Prediction | None,
    palette: Sequence[Colour],
    scale: float = 1.0,
    with_scores: bool = True,
    with_labels: bool = True,
) -> Picture:
    """Draw a prediction or the ground truth on a copy of an image (height, width, 3), uint8 in BGR
    order. None as prediction draws nothing. The other arguments are those of :class:`Style`.
    """
    if prediction is None:
        return resize(image, scale)
    check_installed('drawing', 'supervision')
    style = Style(palette, scale=scale, with_scores=with_scores, with_labels=with_labels)
    match prediction:
        case Detections():
            return draw_objects(image, prediction, style)
        case Segmentation():
            return draw_regions(image, prediction, style)
        case Classification():
            return draw_class(image, prediction, style)
    raise TypeError(f'cannot draw {type(prediction).__name__}')


def draw_class(image: Picture, prediction: Classification, style: Style) -> Picture:
    """Draw the name of the class in a corner."""
    canvas = resize(image, style.scale)
    if not style.with_labels:
        return canvas
    text = prediction.class_name
    if style.with_scores:
        text += f' {prediction.score:.2f}'
    return draw_labels(
        canvas,
        points=np.zeros((1, 2)),
        texts=[text],
        colours=[style.palette[prediction.label]],
        size=choose_text_size(canvas),
    )


def resize(image: Picture, scale: float) -> Picture:
    """Resize an image by the factor ``scale``."""
    return mmcv.imrescale(image, scale, interpolation='area' if scale < 1 else 'bicubic')


def draw_objects(image: Picture, prediction: Detections, style: Style) -> Picture:
    """Draw masks, boxes and labels of objects.

    Boxes and labels are in the order of their scores, the highest on top. Of masks, the smallest
    are on top, so that a mask hides no smaller one.
    """
    if not len(prediction):
        return resize(image, style.scale)
    import supervision as sv

    palette = style.palette
    prediction = prediction.select(np.s_[::-1])
    objects = prediction.to_supervision()
    texts = prediction.class_names
    colours = [palette[label] for label in prediction.labels]
    if len(palette) == 1:
        colours = choose_palette(len(prediction), [palette])
    pens = convert_palette(colours)
    by_index = sv.ColorLookup.INDEX
    painter = sv.MaskAnnotator(pens, OPACITY, by_index)
    canvas = painter.annotate(image.copy(), objects)
    canvas = resize(canvas, style.scale)
    height, width = canvas.shape[:2]
    boxes = (prediction.boxes * style.scale).round().clip(0, [width - 1, height - 1] * 2)
    objects.xyxy = boxes
    # Prefer text of at most a third of the median height of the boxes.
    size = choose_text_size(canvas, np.median(boxes[:, 3] - boxes[:, 1]).item() / 3)
    thickness = max(1, round(size * LINE_WIDTH))
    canvas = sv.BoxAnnotator(pens, thickness, by_index).annotate(canvas, objects)
    if not style.with_labels:
        return canvas
    if len(objects) > MAX_LABELLED:
        return draw_legend(canvas, prediction, palette, boxes)
    if style.with_scores and len(palette) == 1:  # the name on each object would hide others
        texts = [f'{score:.2f}' for score in prediction.scores]
    elif style.with_scores:
        texts = [f'{found.class_name} {found.score:.2f}' for found in prediction]
    return draw_labels(canvas, points=boxes[:, :2], texts=texts, colours=colours, size=size)


def draw_legend(
    canvas: Picture,
    prediction: Detections,
    palette: Sequence[Colour],
    boxes: NDArray[np.floating[Any]],
) -> Picture:
    """Draw the classes with the numbers of their objects, the most frequent first, at the left: at
    the top, or at the bottom if fewer objects are there.

    ``boxes`` (n, 4) are in pixels of the canvas.
    """
    size = choose_text_size(canvas)
    row_height = 2 * size
    height = len(canvas)
    counts = Counter(prediction.labels.tolist()).most_common()
    # A palette of one colour stands for a colour of each object.
    has_colours = len(palette) > 1
    rows = [
        (palette[label] if has_colours else WHITE, f'{number} {prediction.classes[label]}')
        for label, number in counts
    ]
    max_rows = max(1, int(MAX_LEGEND * height / row_height))
    if len(rows) > max_rows:
        num_others = len(rows) - max_rows + 1
        rows = [*rows[: max_rows - 1], (WHITE, f'and {num_others} more classes')]
    legend_height = row_height * len(rows)
    is_left = boxes[:, 0] < 8 * size
    num_top = (is_left & (boxes[:, 1] < legend_height)).sum()
    num_bottom = (is_left & (boxes[:, 3] > height - legend_height)).sum()
    top = height - legend_height if num_bottom < num_top else 0
    bottoms = top + row_height * np.arange(1, len(rows) + 1)
    return draw_labels(
        canvas,
        points=np.stack([np.zeros(len(rows)), bottoms], axis=1),
        texts=[text for _, text in rows],
        colours=[colour for colour, _ in rows],
        size=size,
    )


def is_background(label: int, name: str) -> bool:
    """Return whether the class of this index and name is the background of a segmentation."""
    if BACKGROUND.fullmatch(name):
        return True
    return label == 0 and FIRST_BACKGROUND.fullmatch(name) is not None


def draw_regions(image: Picture, prediction: Segmentation, style: Style) -> Picture:
    """Draw the regions of a segmentation map with outlines and labels."""
    label_map = prediction.label_map.astype(np.uint16)
    gradient = cv2.morphologyEx(label_map, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    canvas = image.copy()
    points = []
    texts = []
    colours = []
    rows = zip(prediction.labels, prediction.class_names, prediction.areas, strict=True)
    for label, name, area in rows:
        if is_background(label, name):
            continue
        region = label_map == label
        bgr = np.array(style.palette[label][::-1])
        canvas[region] = np.round(OPACITY * bgr + (1 - OPACITY) * canvas[region])
        canvas[region & (gradient > 0)] = bgr
        if area >= MIN_LABELLED_SHARE * label_map.size:
            # The pixel that is farthest from the region's edge
            distances = cv2.distanceTransform(region.astype(np.uint8), cv2.DIST_L2, 3)
            points.append(cv2.minMaxLoc(distances)[3])
            texts.append(name)
            colours.append(style.palette[label])
    canvas = resize(canvas, style.scale)
    if not style.with_labels or not points:
        return canvas
    return draw_labels(
        canvas,
        points=style.scale * np.array(points),
        texts=texts,
        colours=colours,
        size=choose_text_size(canvas),
        position='CENTER',
    )


def draw_labels(
    canvas: Picture,
    points: NDArray[np.floating[Any]],
    texts: list[str],
    colours: Sequence[Colour],
    size: int,
    position: str = 'TOP_LEFT',
) -> Picture:
    """Draw labels at points (n, 2) = [x, y], with ``colours`` as backgrounds, and move overlapping
    labels apart.
    """
    import supervision as sv

    anchors = sv.Detections(xyxy=np.tile(points.astype(np.float32), (1, 2)))
    # Text is black or white, by the luma of its background (BT.601).
    is_dark = np.dot(colours, (0.299, 0.587, 0.114)) <= 127
    text_colours = [WHITE if dark else BLACK for dark in is_dark]
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
    return annotator.annotate(canvas, anchors, labels=texts)


def convert_palette(colours: Sequence[Colour]) -> 'supervision.ColorPalette':
    """Convert RGB colours to a ``supervision.ColorPalette``."""
    import supervision as sv

    return sv.ColorPalette([sv.Color(*map(int, colour)) for colour in colours])
