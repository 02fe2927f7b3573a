"""Make detections."""

import numpy as np

from mmgcvit.predict.results import Detections


def make_detections(objects, classes):
    """Make detections from objects (box, label, score), by descending score."""
    rows = [(*box, score, label) for box, label, score in objects]
    rows.sort(key=lambda row: -row[4])
    columns = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(columns[:, :4], columns[:, 4], columns[:, 5].astype(np.int64), classes)
