"""mmpose builds the keypoint config; its parameters and FLOPs equal the metafile's. Run by make test-keypoints."""

import pytest

pytest.importorskip('mmpose', reason='beside the environment: make test-keypoints')

from mmgcvit.experiments.complexity import count_by_part, count_parameters

from ..configs.models import ENTRIES, build_on_meta, read

NAME = 'other_tasks/keypoints_gcvit_t'


def test_parameters_and_flops_equal_the_metafiles():
    cfg, metadata = read(NAME), ENTRIES[NAME]['Metadata']
    model = build_on_meta(cfg)
    assert count_parameters(model) == metadata['Parameters']
    parts = count_by_part(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
    assert sum(part.macs for part in parts) == metadata['FLOPs']
