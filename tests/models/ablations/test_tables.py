"""Test the tables of ``mmgcvit ablate``: the papers' rows and scores, and the same changes at demo scale."""

import re

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from mmgcvit.commands.ablate import TABLES
from mmgcvit.commands.make_digits import PAGE_SIZE
from mmgcvit.datasets.pages import CELLS, MARGIN
from mmgcvit.experiments.ablations import METRICS, read_tables, write_configs
from mmgcvit.models.lsa.archs import ARCHS, LSAArch
from mmgcvit.registry import MODELS

from ...configs.models import build_on_meta, read
from ...conftest import ROOT
from .test_configs import FIGURES

CELL = PAGE_SIZE // CELLS
CONFIGS = ROOT / 'configs'
ALL = read_tables(CONFIGS / TABLES)
SMALL = {key: table for key, table in ALL.items() if table.digits is not None}
IN_FULL = {key: table for key, table in ALL.items() if table.baseline is not None}
# What says how large a network is; at the demo's scale all of it is other.
SIZES = {'embed_dims', 'depths', 'num_heads', 'mlp_ratio', 'drop_path_rate', 'window_size', 'in_channels'}


def test_metrics_are_known_and_published_scores_match_the_docs():
    assert METRICS.keys() >= {name for table in ALL.values() for name in table.metrics}
    for row in (row for table in IN_FULL.values() for row in table.rows):
        name = str(row.config.relative_to(CONFIGS).with_suffix('')).replace('ablations/_base_/lsa', 'lsa')
        assert [float(score) for score in re.findall(r'\d\d\.\d+', FIGURES[name][2])] == list(row.published or ()), name


def difference(config, other):
    """Return the settings that turn ``other`` into ``config``."""
    changed = {}
    for key, value in config.items():
        before = other.get(key)
        if isinstance(value, dict) and isinstance(before, dict) and set(before) <= set(value):
            changed |= {key: found} if (found := difference(value, before)) else {}
        elif key not in other or value != before:
            changed[key] = value
    return changed


def leaves(change, path=()):
    """Return the dotted paths of the settings of a change."""
    for key, value in change.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif key != '_delete_':
            yield (*path, key)


def value_at(config, path):
    for key in path:
        config = config[key]
    return config


@pytest.mark.parametrize('key', SMALL)
def test_an_ablation_changes_the_same_thing_at_demo_scale(key, tmp_path):
    """The same settings get the same values, except sizes. All rows build and are different networks."""
    table = SMALL[key]
    configs = {row: Config.fromfile(path) for row, path in write_configs(table, 'digits', tmp_path).items()}
    base = Config.fromfile(table.digits).to_dict()
    assert len({repr((cfg.model, cfg.train_dataloader)) for cfg in configs.values()}) == len(configs)
    for row in table.rows:
        here = difference(configs[row.key].to_dict(), base)
        build_on_meta(configs[row.key])
        assert set(here) <= {'model', 'custom_imports', *(row.at_digits or ())}
        if table.baseline is None:
            continue
        own, baseline = (Config.fromfile(path).to_dict() for path in (row.config, table.baseline))
        in_full = {path for path in leaves(difference(own, baseline)) if path[0] in ('model', 'custom_imports')}
        changed = {path for path in leaves(here) if path[0] in ('model', 'custom_imports')}
        assert {path for path in changed if path[-1] not in SIZES} == {
            path for path in in_full if path[-1] not in SIZES
        }
        assert bool({path[-1] for path in changed} & SIZES) == bool({path[-1] for path in in_full} & SIZES)
        for path in in_full:
            if path[-1] not in SIZES:
                assert value_at(own, path) == value_at(configs[row.key].to_dict(), path), (row.key, path)


def test_local_windows_alone_see_one_digit_of_a_page(tmp_path):
    """Its output at a digit's pixels has no gradient with respect to other cells; all other rows have one."""
    seen = {}
    inner, side = slice(CELL + MARGIN, 2 * CELL - MARGIN), slice(CELL, 2 * CELL)
    for key, path in write_configs(ALL['context'], 'digits', tmp_path).items():
        backbone = MODELS.build(Config.fromfile(path).model.backbone)
        images = torch.rand(1, 3, PAGE_SIZE, PAGE_SIZE, requires_grad=True)
        found = F.interpolate(backbone(images)[0], images.shape[2:], mode='bilinear')  # as the linear head's scores
        found[..., inner, inner].square().sum().backward()
        images.grad[..., side, side] = 0
        seen[key] = images.grad.abs().max() > 0
    assert [key for key, others in seen.items() if not others] == ['local']


def test_every_ablation_is_in_a_table_and_the_unchanged_lsa_is_the_papers():
    """Swin with global queries is left out: no two of its configs form a table."""
    named = {row.config.stem for table in IN_FULL.values() for row in table.rows}
    missing = {path.stem for path in (CONFIGS / 'ablations').glob('*.py')} - named
    assert {name for name in missing if 'global_query' not in name} == set()
    written, named = read('ablations/_base_/lsa_t_cifar10'), read('lsa_t_cifar10')
    assert LSAArch(**written.model.backbone.arch) == ARCHS[named.model.backbone.arch]
    assert set(difference(written.to_dict(), named.to_dict())) == {'model', 'shifts'}
