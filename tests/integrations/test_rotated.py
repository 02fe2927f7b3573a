"""mmrotate trains and scores the backbone by the configs of other tasks. Run by make test-rotated."""

import re

import pytest

pytest.importorskip('mmrotate', reason='beside the environment: make test-rotated')

from ..configs.models import on_meta, read, wrong_groups
from .other_tasks import rehearsed, wrong_with


def test_the_model_has_the_numbers_of_its_metafile_and_its_optimizer_the_groups_of_the_recipe():
    assert wrong_with('rotated_fcos_gcvit_t') == {}
    cfg = read('other_tasks/rotated_fcos_gcvit_t')
    assert [*wrong_groups(cfg, on_meta(cfg))] == []


def test_a_short_training_on_turned_digits_learns_boxes_and_is_scored(tmp_path):
    output = rehearsed('rotated_fcos_gcvit_digits', tmp_path, ('--turn', 60), max_epochs=3)
    losses = [float(loss) for loss in re.findall(r'loss_bbox: ([\d.]+)', output)]
    assert losses[-1] < 0.5 * losses[0]
    assert re.search(r'dota/mAP: \d', output)
