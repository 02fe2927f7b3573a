"""Provide work dirs of small models with data, and detections."""

import numpy as np
import pytest

from mmgcvit.config import read_config
from mmgcvit.inference.results import Detections

from ..inference.conftest import TASKS, make_work_dir


@pytest.fixture(scope='session')
def work_dirs(digits, tmp_path_factory):
    """Write a work dir with random weights for each task, whose config names the digits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('DIGITS', str(digits))
        return {task: make_work_dir(tmp_path_factory.mktemp('runs') / task, task) for task in TASKS}


@pytest.fixture
def cfg(work_dir, task):
    """Read the config of a task's work dir."""
    return read_config(work_dir / f'{TASKS[task]}.py')


def make_detections(objects, classes):
    """Make detections from objects (box, label, score), by descending score."""
    rows = [(*box, score, label) for box, label, score in objects]
    rows.sort(key=lambda row: -row[4])
    columns = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(columns[:, :4], columns[:, 4], columns[:, 5].astype(np.int64), classes)
