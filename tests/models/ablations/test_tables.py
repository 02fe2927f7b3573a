"""The tables that ``mmgcvit ablate`` trains: the papers' rows with their scores, changed alike at the demo's scale."""

import re

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config

from mmgcvit.commands.ablate import TABLES, configs_of
from mmgcvit.commands.make_digits import PAGE_SIZE
from mmgcvit.datasets.pages import CELLS, MARGIN
from mmgcvit.experiments.ablations import METRICS, change_of, difference, read_tables
from mmgcvit.models.lsa.archs import ARCHS, LSAArch
from mmgcvit.registry import MODELS

from ...configs.models import on_meta, read
from ...conftest import ROOT
from .test_configs import FIGURES, leaves

CELL = PAGE_SIZE // CELLS
CONFIGS = ROOT / 'configs'
ALL = read_tables(CONFIGS / TABLES)
SMALL = {key: table for key, table in ALL.items() if table.digits is not None}
IN_FULL = {key: table for key, table in ALL.items() if table.unchanged is not None}
# What says how large a network is; at the demo's scale all of it is other.
SIZES = {'embed_dims', 'depths', 'num_heads', 'mlp_ratio', 'drop_path_rate', 'window_size', 'in_channels'}


def test_metrics_are_known_and_published_scores_those_of_the_docs():
    """And where one has none, the other has none."""
    assert METRICS.keys() >= {name for table in ALL.values() for name in table.metrics}
    assert all(
        len(row.published or table.metrics) == len(table.metrics) for table in ALL.values() for row in table.rows
    )
    for row in (row for table in IN_FULL.values() for row in table.rows):
        name = str(row.config.relative_to(CONFIGS).with_suffix('')).replace('ablations/_base_/lsa', 'lsa')
        assert [float(score) for score in re.findall(r'\d\d\.\d+', FIGURES[name][2])] == list(row.published or ()), name


@pytest.fixture(scope='module', params=SMALL)
def small(request, tmp_path_factory):
    """A table that has the demo's scale, and its rows' configs of it."""
    table = SMALL[request.param]
    paths = configs_of(table, 'digits', tmp_path_factory.mktemp(request.param))
    return table, {key: Config.fromfile(path) for key, path in paths.items()}


@pytest.mark.parametrize('small', [key for key in SMALL if key in IN_FULL], indirect=True)
def test_at_the_demos_scale_a_row_changes_what_it_changes_in_full(small):
    """The same settings to the same values, but for sizes; and no other."""
    table, configs = small
    base = Config.fromfile(table.digits).to_dict()
    unchanged = read(str(table.unchanged.relative_to(CONFIGS).with_suffix(''))).to_dict()
    for row in table.rows:
        own = Config.fromfile(row.config).to_dict()
        in_full, here = (
            {path for path in leaves(change) if path[0] in ('model', 'custom_imports', 'custom_hooks')}
            for change in (difference(own, unchanged), difference(configs[row.key].to_dict(), base))
        )
        assert {path for path in here if path[-1] not in SIZES} == {path for path in in_full if path[-1] not in SIZES}
        assert bool({path[-1] for path in here} & SIZES) == bool({path[-1] for path in in_full} & SIZES)
        for path in in_full:
            if path[-1] not in SIZES:
                assert value_at(own, path) == value_at(configs[row.key].to_dict(), path), (row.key, path)


def value_at(config, path):
    for key in path:
        config = config[key]
    return config


def test_at_the_demos_scale_every_row_builds_and_is_another_network_and_nothing_else(small):
    """But for what the table says of its rows, as where digits lie."""
    table, configs = small
    base = Config.fromfile(table.digits).to_dict()
    changed = {'model', 'custom_imports'}.union(*(row.at_digits or () for row in table.rows))
    for cfg in configs.values():
        assert set(difference(cfg.to_dict(), base)) <= changed
        on_meta(cfg)
    assert len({repr((cfg.model, cfg.train_dataloader)) for cfg in configs.values()}) == len(configs)


def test_off_the_grid_some_copy_has_every_digit_on_it(tmp_path):
    """Whatever is drawn 1 px apart; and rows differ in the step of all three sets alike."""
    configs = {key: Config.fromfile(path) for key, path in configs_of(ALL['shifts'], 'digits', tmp_path).items()}
    for key, cfg in configs.items():
        steps = {cfg[f'{name}_dataloader'].dataset.step for name in ('train', 'val', 'test')}
        assert steps == {cfg.model.backbone.arch.stride if key.startswith('on_') else 1}
    arch = configs['off_lsa'].model.backbone.arch
    moved = {(dy % arch.stride, dx % arch.stride) for dy, dx in arch.shifts}
    assert len(moved) == arch.stride**2


def test_of_pages_windows_alone_see_no_digit_but_one(tmp_path):
    """What is found at its pixels has no gradient with respect to other cells; in all other rows it has."""
    seen = {}
    inner, side = slice(CELL + MARGIN, 2 * CELL - MARGIN), slice(CELL, 2 * CELL)
    for key, path in configs_of(ALL['context'], 'digits', tmp_path).items():
        backbone = MODELS.build(Config.fromfile(path).model.backbone)
        images = torch.rand(1, 3, PAGE_SIZE, PAGE_SIZE, requires_grad=True)
        found = F.interpolate(backbone(images)[0], images.shape[2:], mode='bilinear')  # as the linear head's scores
        found[..., inner, inner].square().sum().backward()
        images.grad[..., side, side] = 0
        seen[key] = images.grad.abs().max() > 0
    assert [key for key, others in seen.items() if not others] == ['local']


def test_every_ablation_is_in_a_table():
    """But for those of which no two belong together: Swin with global attention, and windows and padding."""
    named = {row.config.stem for table in IN_FULL.values() for row in table.rows}
    missing = {path.stem for path in (CONFIGS / 'ablations').glob('*.py')} - named
    assert {name for name in missing if not re.search(r'global_query|^(mask_rcnn|upernet)_gcvit', name)} == set()


def test_the_unchanged_lsa_is_that_of_the_paper():
    """Written out for its attributes to be changed."""
    written, named = read('ablations/_base_/lsa_t_cifar10'), read('lsa_t_cifar10')
    assert LSAArch(**written.model.backbone.arch) == ARCHS[named.model.backbone.arch]
    assert set(difference(written.to_dict(), named.to_dict())) == {'model', 'shifts'}


def test_rows_that_change_the_schedule_have_their_own_scale_only():
    table = ALL['gcvit-s4']
    assert table.digits is None
    assert change_of(table.rows[0], table, at_digits=False) == {'custom_hooks': []}
    with pytest.raises(ValueError, match='--data own'):
        change_of(table.rows[1], table, at_digits=False)
