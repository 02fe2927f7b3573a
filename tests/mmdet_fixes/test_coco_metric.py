"""COCO's scores without a limit of detections are those of pycocotools."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmgcvit import mmdet_fixes
from mmgcvit.errors import UserError


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),  # the class
            st.integers(4, 120),  # the side of the object: small, medium or large
            st.integers(0, 60),  # how far the detection is beside it
            st.integers(1, 99),  # its score in percent
        ),
        max_size=8,
    )
)
def test_a_summary_has_the_scores_of_pycocotools(objects):
    """With a limit of 100, under which alone pycocotools looks mAP up."""
    truths = []
    found = []
    for number, (label, side, shift, percent) in enumerate(objects, start=1):
        common = {'id': number, 'image_id': 1 + number % 2, 'category_id': label, 'iscrowd': 0}
        left = 200 * number
        box = {'bbox': [left, 0, side, side], 'area': side**2}
        truths.append({**common, **box})
        box = {'bbox': [left + shift, 0, side, side], 'area': side**2}
        found.append({**common, **box, 'score': percent / 100})
    stats = []
    for evaluation_type in (COCOeval, mmdet_fixes.UnlimitedCOCOeval):
        coco = []
        for annotations in (truths, found):
            api = COCO()
            api.dataset = {
                'images': [{'id': 1}, {'id': 2}],
                'categories': [{'id': 0}, {'id': 1}],
                'annotations': deepcopy(annotations),
            }
            api.createIndex()
            coco.append(api)
        evaluation = evaluation_type(*coco, 'bbox')
        evaluation.params.maxDets = [100, 100, 100]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        stats.append(evaluation.stats)
    np.testing.assert_allclose(*stats, rtol=1e-12)


@pytest.mark.parametrize(
    ('args', 'kwargs'),
    [((), {'proposal_nums': (100, 300, 1000)}), ((None, 'bbox', False, (100, 300, 1000)), {})],
)
def test_a_limit_of_detections_is_refused_with_what_to_do(args, kwargs):
    """mmdet's arguments, of which this metric sets one itself."""
    with pytest.raises(UserError, match=r'takes no proposal_nums. Remove it, or use mmdet\.Coco'):
        mmdet_fixes.CocoMetric(*args, **kwargs)
