"""mmpose trains and scores the backbone by the configs of other tasks. Run by make test-keypoints."""

import pytest

pytest.importorskip('mmpose', reason='beside the environment: make test-keypoints')

from ..tools.commands import score
from .other_tasks import rehearsed, wrong_with


def test_the_model_has_the_numbers_of_its_metafile():
    assert wrong_with('keypoints_gcvit_t') == {}


def test_a_short_training_on_digits_finds_their_ends(tmp_path):
    output = rehearsed('keypoints_gcvit_digits', tmp_path, data_root=f'{tmp_path}/digits/coco/', max_epochs=8)
    assert score(output, 'best coco_AP') > 0.1
