"""mmrotate builds the config; its parameters and FLOPs equal the metafile's. Run by make test-rotated."""

import pytest

pytest.importorskip('mmrotate', reason='beside the environment: make test-rotated')

from mmgcvit.experiments.complexity import count_by_part, count_parameters

from ..configs.models import ENTRIES, build_on_meta, find_wrong_groups, read

NAME = 'other_tasks/rotated_fcos_gcvit_t'


def test_parameters_and_flops_equal_the_metafiles_and_parameter_groups_equal_the_recipes():
    cfg, metadata = read(NAME), ENTRIES[NAME]['Metadata']
    model = build_on_meta(cfg)
    assert count_parameters(model) == metadata['Parameters']
    parts = count_by_part(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
    assert sum(part.macs for part in parts) == metadata['FLOPs']
    assert [*find_wrong_groups(cfg, model)] == []
