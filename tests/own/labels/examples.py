"""Predictions that are written as labels, and comparisons of what is read."""

import cv2
import numpy as np
import pytest

from mmgcvit.own.labels.folder import LabelFolder
from mmgcvit.own.labels.polygons import compute_iou
from mmgcvit.predict.results import Detections

from ...predict.conftest import picture_of
from .models import NamedModel

DETECTOR = NamedModel('detection')
SIZE = WIDTH, HEIGHT = 80, 60


def make_detections(boxes, labels, masks=None, classes=DETECTOR.classes):
    scores = np.linspace(0.9, 0.5, len(boxes), dtype=np.float32)
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=scores,
        labels=np.array(labels, np.int64),
        classes=classes,
        masks=masks,
    )


def write_folder(folder, predictions, label_format=None, model=DETECTOR):
    """Write predictions of pictures a, b, ... into a folder."""
    labels = LabelFolder(model, folder, label_format)
    for index, prediction in enumerate(predictions):
        picture = folder.parent / 'photos' / f'{chr(ord("a") + index)}.png'
        picture.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(picture), picture_of(HEIGHT, WIDTH, seed=index))
        labels.add(str(picture), SIZE, prediction)
    labels.finish()
    return labels


# Beside the generated one, so that the folder has all classes and an object in any case
ANCHOR = make_detections([[2, 3, 30, 40], [5, 6, 41, 57], [1, 1, 70, 50]], [0, 1, 2])


RING = np.zeros((HEIGHT, WIDTH), bool)
RING[10:40, 20:60] = True
RING[15:30, 25:45] = False
RING[50:55, 0:80] = True  # a second part
WITH_RING = make_detections([[20, 10, 60, 40], [0, 0, 9, 9]], [2, 1], np.stack([RING, RING[::-1]]))


def assert_equal_objects(found, expected, with_masks):
    """Check that the objects are equal, whatever their order."""
    left = [*found]
    for class_name, box, mask in expected:
        for index, (other_name, other_box, other_mask) in enumerate(left):
            is_near = np.abs(np.subtract(box, other_box)).max() <= 1
            if class_name != other_name or not is_near:
                continue
            if with_masks and compute_iou(mask, other_mask) < 0.98:
                continue
            del left[index]
            break
        else:
            pytest.fail(f'{class_name} {box} is not among {left}')
    assert not left
