"""A file that differs from its model at any size, in any output, is found.

Modules: `mmgcvit/export/comparing.py`.
"""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnxruntime
import pytest

from mmgcvit.errors import UserError
from mmgcvit.export import comparing
from mmgcvit.export.comparing import (
    FLOAT32,
    SHAPES,
    compare,
    compute_difference,
    match_objects,
)

ONES = np.ones((2, 3), np.float32)


@pytest.mark.parametrize(
    ('output', 'expected', 'difference'),
    [
        (ONES, ONES, 0),
        (ONES + 0.5, ONES, 0.5),
        (4 * ONES + 0.5, 4 * ONES, 0.125),
        (np.full((2, 3), np.nan, np.float32), ONES, np.inf),
        (np.array([[np.nan, 1, 1], [1, 1, 1]], np.float32), ONES, np.inf),
        (ONES[:1], ONES, np.inf),
        (ONES.T, ONES, np.inf),
        (np.array([True, True, False]), np.array([True, False, False]), 0.5),
        (np.zeros(3, bool), np.zeros(3, bool), 0),
    ],
)
def test_the_difference_is_relative_and_infinite_for_nan_and_other_shapes(
    output, expected, difference
):
    assert compute_difference(output, expected) == difference


@pytest.mark.parametrize('place', range(len(SHAPES)))
@pytest.mark.parametrize('name', ['scores', 'boxes'])
def test_a_difference_at_any_size_and_in_any_output_stops_the_export(name, place, monkeypatch):
    calls = []

    def predict_both(*_):
        outputs = {'scores': ONES, 'boxes': ONES}
        if len(calls) == place:
            outputs[name] = ONES + 0.1
        calls.append(1)
        return outputs, {'scores': ONES, 'boxes': ONES}

    graph = SimpleNamespace(num_queries=0, finds_objects=False)
    monkeypatch.setattr(comparing, 'predict_both', predict_both)
    monkeypatch.setattr(onnxruntime, 'InferenceSession', lambda *_, **__: None)
    with pytest.raises(UserError, match=rf"the ONNX file's {name} differ from .* by 0\.1 "):
        compare(None, graph, Path(__file__))


def make_objects(num_objects, **changes):
    """Return objects beside each other, with scores from 0.9 on down."""
    lefts = 10.0 * np.arange(num_objects)
    objects = {
        'boxes': np.stack([lefts, 0 * lefts, lefts + 8, 0 * lefts + 8], 1),
        'scores': np.linspace(0.9, 0.1, num_objects),
        'labels': np.arange(num_objects) % 2,
        'image_indices': np.zeros(num_objects, int),
    }
    return objects | changes


@pytest.mark.parametrize(
    'change',
    [
        {'labels': np.ones(4, int)},
        {'image_indices': np.array([0, 0, 0, 1])},
        {'scores': make_objects(4)['scores'] + [0, 0, 0, 0.2]},
        {'boxes': make_objects(4)['boxes'] + [[0], [0], [0], [3]]},
    ],
    ids=['label', 'image', 'score', 'box'],
)
def test_objects_that_differ_in_anything_do_not_match(change):
    with pytest.raises(UserError, match=r'detects 4 objects and the ONNX file 4: only [23] match'):
        match_objects(make_objects(4, **change), make_objects(4), 100, FLOAT32)


@pytest.mark.parametrize(('score', 'is_allowed'), [(1e-6, True), (0.5, False)])
@pytest.mark.parametrize('is_in_file', [False, True])
def test_an_object_that_only_one_side_finds_may_have_a_negligible_score(
    score, is_allowed, is_in_file
):
    """Whichever side it is."""
    objects = make_objects(4)
    one = {name: values[:1] for name, values in make_objects(1).items()}
    one |= {'boxes': one['boxes'] + 50, 'scores': np.array([score])}
    more = {name: np.concatenate([values, one[name]]) for name, values in objects.items()}
    pair = (more, objects) if is_in_file else (objects, more)
    if is_allowed:
        assert [len(each['scores']) for each in match_objects(*pair, 100, FLOAT32)] == [4, 4]
        return
    with pytest.raises(UserError, match='only 4 match'):
        match_objects(*pair, 100, FLOAT32)
