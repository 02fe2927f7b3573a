"""Provide small models of each task with data, and logs as mmengine writes them."""

import json

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
    return Detections(
        boxes, np.array(scores, np.float32), labels, [classes[label] for label in labels]
    )


def iteration(i, loss=1.0, epoch=1, **values):
    """Return what mmengine logs for an iteration."""
    return {
        'lr': 1e-4,
        'data_time': 0.1,
        'loss': loss,
        'time': 0.2,
        'epoch': epoch,
        'iter': i,
        'step': i,
        **values,
    }


def validation(step, **scores):
    """Return what mmengine logs for a validation."""
    return {**scores, 'data_time': 0.1, 'time': 0.2, 'step': step}


def write_session(path, time, entries, end='\n'):
    """Write the logs of a work dir as mmengine's local backend does, and return the work dir."""
    folder = path / time / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, entries)) + end)
    return path
