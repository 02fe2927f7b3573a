"""Match the objects of an image with its detections, and draw what is right, false and missed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...ops.requirements import check_installed
from ...predict.drawing import LINE_WIDTH, MAX_LABELLED, choose_text_size, draw_labels, resize
from ...predict.results import Detections
from .detection_curves import drop_ignored

if TYPE_CHECKING:
    import supervision

MIN_IOU = 0.5  # of the boxes of an object and its detection

# Okabe and Ito's sky blue, vermilion and yellow, which people with any colour vision tell apart
RIGHT = (86, 180, 233)
FALSE = (213, 94, 0)
MISSED = (240, 228, 66)
TINT = 0.3  # the opacity of masks
LEGEND = 'right: thin blue, false: thick orange, missed: yellow circle'


@dataclass(frozen=True, eq=False)
class Matches:
    """Which objects of an image are detected, and by which detections."""

    detections: Detections  # those that are not on ignored objects
    pairs: NDArray[np.int64]  # (n, 2), indices of an object and of its detection
    missed: NDArray[np.int64]  # indices of the objects without a detection
    false: NDArray[np.int64]  # indices of the detections without an object


def match_objects(ground_truth: Detections, prediction: Detections) -> Matches:
    """Match objects and detections one to one, from the highest IoU down to 0.5, and those of the
    same class first.
    """
    check_installed('matching objects', 'supervision')
    import supervision as sv

    detections = drop_ignored(ground_truth, prediction)
    objects = convert_boxes(ground_truth)
    found = convert_boxes(detections)
    # Pairs of the same class, and the indices of the objects and detections in none of them
    same_class, lone_objects, lone_found = sv.match_detections(objects, found, MIN_IOU)
    others, missed, false = sv.match_detections(
        convert_boxes(ground_truth.select(lone_objects)),
        convert_boxes(detections.select(lone_found)),
        MIN_IOU,
        class_agnostic=True,
    )
    other_class = np.stack([lone_objects[others[:, 0]], lone_found[others[:, 1]]], axis=1)
    return Matches(
        detections=detections,
        pairs=np.concatenate([same_class, other_class]),
        missed=lone_objects[missed],
        false=lone_found[false],
    )


def convert_boxes(detections: Detections) -> 'supervision.Detections':
    """Return supervision's detections with the boxes and classes, without masks."""
    import supervision as sv

    return sv.Detections(detections.boxes, class_id=detections.labels)


def draw_matches(
    image: NDArray[np.uint8], ground_truth: Detections, prediction: Detections, scale: float
) -> NDArray[np.uint8]:
    """Draw which detections are right and false, and which objects are missed (:data:`LEGEND`)."""
    import supervision as sv

    matches = match_objects(ground_truth, prediction)
    detections = matches.detections
    is_right = np.zeros(len(detections), bool)
    for object_index, index in matches.pairs:
        is_right[index] = ground_truth.labels[object_index] == detections.labels[index]
    right = detections.select(is_right)
    false = detections.select(~is_right)
    missed = ground_truth.select(matches.missed)
    for objects, colour in ((false, FALSE), (right, RIGHT)):
        painter = sv.MaskAnnotator(sv.Color(*colour), TINT, sv.ColorLookup.INDEX)
        image = painter.annotate(image.copy(), objects.to_supervision())
    canvas = resize(image, scale)
    size = choose_text_size(canvas)
    width = max(1, round(size * LINE_WIDTH))
    for objects, annotator, colour, thickness in (
        (false, sv.BoxAnnotator, FALSE, 2 * width),
        (right, sv.BoxAnnotator, RIGHT, width),  # above false ones
        (missed, sv.CircleAnnotator, MISSED, 2 * width),
    ):
        boxes = sv.Detections((objects.boxes * scale).round())
        for line, line_colour in ((thickness + 2, (0, 0, 0)), (thickness, colour)):
            pen = annotator(
                color=sv.Color(*line_colour), thickness=line, color_lookup=sv.ColorLookup.INDEX
            )
            canvas = pen.annotate(canvas, boxes)
    texts = [f'{found.class_name} {found.score:.2f}' for found in false] + missed.class_names
    if not 0 < len(texts) <= MAX_LABELLED:
        return canvas
    points = scale * np.concatenate([false.boxes, missed.boxes])[:, :2]
    colours = [FALSE] * len(false) + [MISSED] * len(missed)
    return draw_labels(canvas, points=points, texts=texts, colours=colours, size=size)
