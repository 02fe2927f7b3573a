"""mmpose and mmrotate build the configs of docs/other_tasks.md. Run by make test-beside."""

import pytest

from tools.get_flops import count_by_part, count_parameters

from ..configs.models import ENTRIES, build_on_meta, find_wrong_groups, read


@pytest.mark.parametrize(('package', 'name'), [('mmpose', 'keypoints_gcvit_t'), ('mmrotate', 'rotated_fcos_gcvit_t')])
def test_parameters_and_flops_equal_the_metafiles_and_parameter_groups_the_recipes(package, name):
    pytest.importorskip(package, reason='beside the environment: make test-beside')
    name = f'other_tasks/{name}'
    cfg, metadata = read(name), ENTRIES[name]['Metadata']
    model = build_on_meta(cfg)
    assert count_parameters(model) == metadata['Parameters']
    parts = count_by_part(model, tuple(map(int, metadata['FLOPs Input Size'].split('x'))))
    assert sum(part.macs for part in parts) == metadata['FLOPs']
    assert package == 'mmpose' or [*find_wrong_groups(cfg, model)] == []
