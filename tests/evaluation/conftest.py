"""Provide work dirs of small models with data, and detections."""

import numpy as np
import pytest

from mmgcvit.inference.results import Detections

from ..inference.conftest import TASKS, make_work_dir


@pytest.fixture(scope='session')
def work_dirs(digits, tmp_path_factory):
    """Write a work dir with random weights for each task, whose config names the digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DIGITS', str(digits))
        return {task: make_work_dir(tmp_path_factory.mktemp('runs') / task, task) for task in TASKS}


def make_detections(objects, classes):
    """Make detections from objects (box, label, score), by descending score."""
    objects = sorted(objects, key=lambda entry: -entry[2])
    boxes, labels, scores = zip(*objects, strict=True) if objects else ((), (), ())
    boxes, labels = np.array(boxes, np.float32).reshape(-1, 4), np.array(labels, np.int64)
    return Detections(boxes, np.array(scores, np.float32), labels, classes)
