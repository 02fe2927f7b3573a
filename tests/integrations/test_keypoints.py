"""mmpose builds its config on the backbone, with the metafile's numbers. Run by make test-keypoints."""

import pytest

pytest.importorskip('mmpose', reason='beside the environment: make test-keypoints')

from mmgcvit.experiments.complexity import count_parts

from ..configs.models import ENTRIES, on_meta, parameters_of, read

NAME = 'other_tasks/keypoints_gcvit_t'


def test_the_model_has_the_numbers_of_its_metafile():
    cfg, metadata = read(NAME), ENTRIES[NAME]['Metadata']
    model = on_meta(cfg)
    assert parameters_of(model) == metadata['Parameters']
    parts = count_parts(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
    assert sum(part.macs for part in parts) == metadata['FLOPs']
