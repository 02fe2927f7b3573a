"""COCO's scores without a limit of detections are those of pycocotools."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmgcvit.errors import UserError
from mmgcvit.fixes import mmdet as mmdet_fixes

from ...coco import make_annotation, make_content, make_image


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
        image = 1 + number % 2
        left = 200 * number
        box = [left, 0, side, side]
        truths.append(make_annotation(number, image, label, box, iscrowd=0))
        box = [left + shift, 0, side, side]
        score = percent / 100
        found.append(make_annotation(number, image, label, box, iscrowd=0, score=score))
    stats = []
    for evaluation_type in (COCOeval, mmdet_fixes.UnlimitedCOCOeval):
        coco = []
        for annotations in (truths, found):
            api = COCO()
            images = [make_image(number, f'{number}.jpg', 4000, 200) for number in (1, 2)]
            classes = {'first': 0, 'second': 1}
            api.dataset = make_content(images, deepcopy(annotations), classes)
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
