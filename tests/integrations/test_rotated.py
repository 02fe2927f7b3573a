"""mmrotate builds its config on the backbone, with the metafile's numbers. Run by make test-rotated."""

import pytest

pytest.importorskip('mmrotate', reason='beside the environment: make test-rotated')

from mmgcvit.experiments.complexity import count_parts

from ..configs.models import ENTRIES, on_meta, parameters_of, read, wrong_groups

NAME = 'other_tasks/rotated_fcos_gcvit_t'


def test_the_model_has_the_numbers_of_its_metafile_and_its_optimizer_the_groups_of_the_recipe():
    cfg, metadata = read(NAME), ENTRIES[NAME]['Metadata']
    model = on_meta(cfg)
    assert parameters_of(model) == metadata['Parameters']
    parts = count_parts(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
    assert sum(part.macs for part in parts) == metadata['FLOPs']
    assert [*wrong_groups(cfg, model)] == []
