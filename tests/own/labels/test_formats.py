"""Lines, shapes and scores are written as their formats have them."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmgcvit.own.data.formats.yolo import have_keypoints
from mmgcvit.own.labels.formats import format_yolo_line
from mmgcvit.own.labels.polygons import fill

from .examples import ANCHOR, HEIGHT, WIDTH, WITH_RING, write_folder

FRACTIONS = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@given(corners=st.lists(st.tuples(FRACTIONS, FRACTIONS), min_size=3, max_size=8))
@example(corners=[(0.5, 0.5), (1.0, 1.0), (0.5, 0.7), (0.0, 0.6), (0.3, 0.0)])
def test_no_polygon_of_yolo_looks_like_a_box_with_keypoints(corners):
    """At the edges of an image, 0 and 1 stand where a pose label has visibilities. The polygon
    stays the same: its last corner may be there twice.
    """
    flat = [value for corner in corners for value in corner]
    label, *values = format_yolo_line(3, flat).split()
    numbers = [*map(float, values)]
    assert label == '3'
    assert not have_keypoints(numbers)
    assert numbers[: len(flat)] == flat
    assert numbers[len(flat) :] in ([], flat[-2:])


@pytest.mark.parametrize('prediction', [ANCHOR, WITH_RING], ids=['boxes', 'masks'])
def test_labelme_has_a_rectangle_of_two_corners_for_a_box_and_a_polygon_for_a_mask(
    prediction, tmp_path
):
    write_folder(tmp_path / 'labels', [prediction], 'labelme')
    content = json.loads((tmp_path / 'labels/images/a.json').read_text())
    assert (content['imageWidth'], content['imageHeight']) == (WIDTH, HEIGHT)
    assert content['imagePath'] == 'a.png'
    for shape, found in zip(content['shapes'], prediction, strict=True):
        assert shape['label'] == found.class_name
        points = np.array(shape['points'])
        if found.mask is None:
            assert shape['shape_type'] == 'rectangle'
            assert points.ravel().tolist() == found.box.tolist()
        else:
            assert shape['shape_type'] == 'polygon'
            np.testing.assert_array_equal(fill([points], (HEIGHT, WIDTH)), found.mask)


def test_scores_have_four_digits(tmp_path):
    """In the mark, in COCO and for Label Studio."""
    prediction = replace(ANCHOR, scores=np.array([0.987654, 0.5, 0.12346], np.float32))
    expected = [0.9877, 0.5, 0.1235]
    for label_format in ('coco', 'label-studio'):
        folder = tmp_path / label_format
        write_folder(folder, [prediction], label_format)
        mark = json.loads((folder / 'made_by.json').read_text())
        assert [each['score'] for each in mark['labels']['a.png']] == expected
    content = json.loads((tmp_path / 'coco/annotations/instances_train.json').read_text())
    assert [each['score'] for each in content['annotations']] == expected
    (task,) = json.loads((tmp_path / 'label-studio/tasks.json').read_text())
    assert [each['score'] for each in task['predictions'][0]['result']] == expected
