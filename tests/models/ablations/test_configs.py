"""Configs of ablations and baselines build, with the parameters that their one change implies, as the docs say."""

import re
from functools import cache

import pytest
import timm
import torch
from mmcv.cnn.bricks import DropPath

from mmgcvit.experiments.ablations import difference
from mmgcvit.experiments.complexity import count_macs, model_parts

from ...configs.models import head_of, on_meta, parameters_of, read, wrong_groups
from ...conftest import ROOT
from .test_variants import ALL

ABLATIONS, BASELINES = (
    sorted(f'{folder}/{path.stem}' for path in (ROOT / 'configs' / folder).glob('*.py'))
    for folder in ('ablations', 'baselines')
)
DOCS = ROOT / 'docs' / 'ablations.md'
CELLS = re.findall(
    r'\[`(\w+)`\]\(\.\./configs/((?:\w+/)?\w+)\.py\) \| ([\d.]+) \| ([\d.]*) \| (.*) \|$',
    DOCS.read_text(),
    re.MULTILINE,
)
# What the page says of each config: millions of parameters, billions of multiply-adds, score.
FIGURES = {path: (float(parameters), macs, score) for _, path, parameters, macs, score in CELLS}
# Height and width of the images of each task.
SIZES = {
    'mask_rcnn': (800, 1280),
    'cascade': (800, 1280),
    'upernet': (512, 2048),
    'in1k': (224, 224),
    'cifar10': (32, 32),
}

model_of = cache(lambda name: on_meta(read(name)).eval())

DIMS, DEPTHS = (64, 128, 256, 512), (3, 4, 19, 5)
GLOBAL_BLOCKS = [depth // 2 for depth in DEPTHS]
GENERATORS = (3, 2, 1, 1)
DOWNSAMPLERS = ((64, 64), (64, 128), (128, 256), (256, 512))  # the stem's first


def linear(before, after, bias=True):
    return before * after + bias * after


def fused_mbconv(dims):
    return 9 * dims + 2 * dims * dims // 4 + dims * dims


def generators(dims, counts=GENERATORS):
    return sum(count * fused_mbconv(c) for c, count in zip(dims, counts, strict=True))


def merging(before, after):
    return 2 * 4 * before + linear(4 * before, after, bias=False)


def downsampler(before, after):
    return 2 * before + fused_mbconv(before) + 9 * before * after + 2 * after


def tables(windows, heads=(2, 4, 8, 16), depths=DEPTHS):
    """The numbers in all position tables."""
    return sum((2 * w - 1) ** 2 * h * depth for w, h, depth in zip(windows, heads, depths, strict=True))


def of_all_global_blocks(layer):
    return sum(count * layer(dims) for dims, count in zip(DIMS, GLOBAL_BLOCKS, strict=True))


def of_all_downsamplers(layer):
    return sum(layer(*dims) for dims in DOWNSAMPLERS)


GCVIT_T = 28_221_974
SWIN_T, SWIN_S = 28_288_354, 49_606_258  # Swin's published networks; shifting has no weights
LOCAL = GCVIT_T - generators(DIMS) + of_all_global_blocks(lambda dims: linear(dims, dims))
WITH_STEM = LOCAL + sum(merging(*dims) - downsampler(*dims) for dims in DOWNSAMPLERS[1:])
PATCH_EMBEDDING, STEM = linear(48, 64) + 2 * 64, linear(27, 64) + downsampler(64, 64)
CLASSIFIERS = {
    'swin_t_unshifted_in1k': SWIN_T,
    'swin_t_resized_in1k': WITH_STEM + PATCH_EMBEDDING - STEM,
    'swin_t_gcvit_stem_in1k': WITH_STEM,
    'gcvit_t_local_in1k': LOCAL,
    'gcvit_t_shifted_in1k': LOCAL,
    'gcvit_t_patch_merging_in1k': GCVIT_T
    + of_all_downsamplers(lambda before, after: merging(before, after) - downsampler(before, after)),
    'gcvit_t_conv_pool_in1k': GCVIT_T - of_all_downsamplers(lambda before, after: fused_mbconv(before)),
    'gcvit_t_max_pool_in1k': GCVIT_T - of_all_downsamplers(lambda before, after: 8 * before * after),
    'gcvit_t_global_kv_in1k': GCVIT_T - of_all_global_blocks(lambda dims: linear(dims, dims)),
    'gcvit_t_global_v_in1k': GCVIT_T,
    'gcvit_t_no_position_in1k': GCVIT_T - tables((7, 7, 14, 7)),
    'gcvit_t_no_ema_in1k': GCVIT_T,
    'gcvit_t_bs1024_in1k': GCVIT_T,
    'swin_t_global_query_in1k': SWIN_T
    + generators((96, 192, 384, 768))
    - sum(linear(c, c) * n for c, n in zip((96, 192, 384, 768), (1, 1, 3, 1), strict=True)),
    'swin_s_global_query_in1k': SWIN_S
    + generators((96, 192, 384, 768))
    - sum(linear(c, c) * n for c, n in zip((96, 192, 384, 768), (1, 1, 9, 1), strict=True)),
    'lsa_t_cifar10_a': 6_794_570,
    'lsa_t_cifar10_b': 8_410_442,
    'lsa_t_cifar10_c': 6_794_570,
    'lsa_t_cifar10_d': 10_136_906,
    'lsa_t_cifar10_e': 6_885_962,
    'lsa_t_cifar10_swin_block': 6_794_570 + (2 * 8 - 1) ** 2 * 3,
    # The embedding's norm, and two depthwise convolutions with batch norm.
    'lsa_t_cifar10_cvt_block': 6_794_570 + 2 * 192 + 2 * (9 + 2) * 192,
}
# Each dense model against that of GC ViT-T, whose backbone it replaces.
DENSE = {
    'mask_rcnn': ('mask_rcnn_gcvit_t', 16),
    'upernet': ('upernet_gcvit_t', 24),
}
ROWS = {
    'swin_t_resized': 'swin_t_resized_in1k',
    'swin_t_gcvit_stem': 'swin_t_gcvit_stem_in1k',
    'gcvit_t_local': 'gcvit_t_local_in1k',
    'gcvit_t_shifted': 'gcvit_t_shifted_in1k',
    'gcvit_t_global_kv': 'gcvit_t_global_kv_in1k',
    'gcvit_t_global_v': 'gcvit_t_global_v_in1k',
}
# Dense models with GC ViT-T's weights, but for their position tables: windows of 16 or 24 have others.
CHANGED_TABLES = ('gcvit_t_masked_padding', 'gcvit_t_no_position', 'gcvit_t_win7', 'gcvit_t_win14')
# Whole models in millions, as GC ViT's paper states them (table 2).
PUBLISHED = {
    'mask_rcnn_swin_t': 48,
    'mask_rcnn_convnext_t': 48,
    'cascade_swin_t': 86,
    'cascade_convnext_t': 86,
    'cascade_swin_s': 107,
    'cascade_convnext_s': 108,
    'cascade_swin_b': 145,
    'cascade_convnext_b': 146,
}
# The published classifiers, as timm builds them.
TIMM_CLASSIFIERS = {
    'swin_t': 'swin_tiny_patch4_window7_224',
    'swin_s': 'swin_small_patch4_window7_224',
    'swin_b': 'swin_base_patch4_window7_224',
    'swin_l': 'swin_large_patch4_window12_384',
    'convnext_t': 'convnext_tiny',
    'convnext_s': 'convnext_small',
    'convnext_b': 'convnext_base',
}


@torch.no_grad()
@pytest.mark.parametrize('names', [ABLATIONS, BASELINES], ids=['ablations', 'baselines'])
def test_every_model_builds_and_what_follows_takes_the_backbones_maps(names):
    for name in names:
        cfg, model = read(name), model_of(name)
        maps = model.backbone(torch.zeros(1, 3, 64, 64, device='meta'))
        if cfg.default_scope == 'mmpretrain':
            assert model.head(model.neck(maps)).shape == (1, cfg.model.head.num_classes), name
        elif cfg.default_scope == 'mmseg':
            for head in (model.decode_head, model.auxiliary_head):
                assert head(maps).shape[1] == cfg.model.decode_head.num_classes, name
        else:
            assert [found.shape[1] for found in maps] == list(cfg.model.neck.in_channels), name
            assert len(model.neck(maps)) == cfg.model.neck.num_outs, name


@pytest.mark.parametrize('names', [ABLATIONS, BASELINES], ids=['ablations', 'baselines'])
def test_weights_come_in_few_groups_and_norms_and_position_tables_have_no_decay(names):
    wrong = {name: [*wrong_groups(read(name), model_of(name))] for name in names}
    assert {name: found for name, found in wrong.items() if found} == {}


def test_drop_path_is_the_recipes():
    for name in ABLATIONS:
        rate = max(module.drop_prob for module in model_of(name).backbone.modules() if isinstance(module, DropPath))
        expected = 0.1 if 'lsa' in name else 0.3 if 'swin_s' in name or 'upernet' in name else 0.2
        assert rate == pytest.approx(expected), name


def test_a_head_says_what_to_expect_as_the_docs_do():
    for name in ABLATIONS:
        head = head_of(name)
        assert re.search(r'^Expected: ', head, re.MULTILINE), name
        assert re.search(r'^Memory:   ', head, re.MULTILINE), name
        assert 'run in full' in re.sub(r'\s+', ' ', head), name
        assert bool(re.search(r'^--amp: ', head, re.MULTILINE)) == (read(name).optim_wrapper.type == 'OptimWrapper'), (
            name
        )
        scores = re.findall(r'\b\d\d\.\d+', head.split('Expected:')[1].split('Not run')[0])
        assert re.findall(r'\d\d\.\d+', FIGURES[name][2]) == scores, name


def test_every_variant_has_a_config_or_a_row():
    in_rows = re.findall(r'type: mmgcvit\.(\w+)', (ROOT / 'configs' / 'ablations' / 'tables.yml').read_text())
    used = {read(name).model.backbone.type.removeprefix('mmgcvit.') for name in ABLATIONS}
    assert used.union(in_rows) == {*ALL, 'GCViT', 'LSA'}


def test_the_docs_name_every_config_by_its_name():
    assert {*ABLATIONS, *BASELINES} <= set(FIGURES)
    assert all(path.rsplit('/', 1)[-1] == name for name, path, *_ in CELLS)


@pytest.mark.long
def test_the_docs_count_parameters_and_multiply_adds():
    """But of the transformer of a detector by queries, which computes for real: its figures are in the model zoo."""
    wrong, uncounted = [], []
    for name, (parameters, macs, _) in FIGURES.items():
        model = model_of(name)
        size = next((size for task, size in SIZES.items() if task in name), None)
        counted = size and f'{sum(part.macs for part in model_parts(model, size)) / 1e9:.1f}'
        if counted is None:
            uncounted.append((name, macs))
        elif macs != counted:
            wrong.append((name, macs, counted))
        if parameters != round(parameters_of(model) / 1e6, 2):
            wrong.append((name, parameters, parameters_of(model)))
    assert wrong == []
    assert uncounted == [('baselines/dino_swin_l', ''), ('baselines/dino_swin_l_gcvit_recipe', '')]


def test_parameters_of_every_classifier_are_what_its_change_implies():
    """To the digit; those of the other configs in the two tests that follow."""
    assert {name: parameters_of(model_of(f'ablations/{name}')) for name in CLASSIFIERS} == CLASSIFIERS
    dense = {f'{task}_{row}' for task in DENSE for row in (*ROWS, *CHANGED_TABLES, 'swin_t_unshifted')}
    assert set(ABLATIONS) == {f'ablations/{name}' for name in (*CLASSIFIERS, *dense)}


def test_parameters_of_dense_models():
    """A change of the backbone changes them by as much as the classifier's; windows change the tables."""
    for task, (full, window) in DENSE.items():
        whole = parameters_of(model_of(full))
        expected = {row: CLASSIFIERS[classifier] - GCVIT_T for row, classifier in ROWS.items()}
        expected |= {'gcvit_t_masked_padding': 0, 'gcvit_t_no_position': -tables((window,) * 4)}
        expected |= {f'gcvit_t_win{other}': tables((other,) * 4) - tables((window,) * 4) for other in (7, 14)}
        assert {row: parameters_of(model_of(f'ablations/{task}_{row}')) - whole for row in expected} == expected


def test_parameters_of_dense_swin_without_shifting_are_those_of_swin():
    """Of the backbone: the classifier without its head, and the norms of the first three maps."""
    norms = 2 * (96 + 192 + 384)
    for task in DENSE:
        backbone = model_of(f'ablations/{task}_swin_t_unshifted').backbone
        assert parameters_of(backbone) == SWIN_T - linear(768, 1000) + norms


def test_multiply_adds_of_swin_without_shifting_are_those_of_swin():
    model = model_of('ablations/swin_t_unshifted_in1k')
    macs = count_macs(lambda: model.backbone(torch.empty(1, 3, 224, 224, device='meta')))
    assert round(macs / 1e9, 1) == 4.5


def test_dense_rows_start_from_the_classifier_of_their_row():
    for name in ABLATIONS:
        start = read(name).model.backbone.get('init_cfg')
        if start is not None and not start.checkpoint.startswith('https://'):
            classifier = start.checkpoint.split('/')[1]
            assert f'ablations/{classifier}' in ABLATIONS
            assert re.sub('^ablations/(mask_rcnn|upernet)_', '', name) == classifier.removesuffix('_in1k')
            assert read(f'ablations/{classifier}').train_cfg.max_epochs == 310


def test_the_batch_of_1024():
    cfg = read('ablations/gcvit_t_bs1024_in1k')
    assert 8 * cfg.train_dataloader.batch_size * cfg.optim_wrapper.accumulative_counts == 1024
    assert cfg.optim_wrapper.optimizer.lr == 1e-3


def split_name(name):
    """For example ``'baselines/mask_rcnn_swin_t'``: the backbone and GC ViT's config beside it."""
    name = name.removeprefix('baselines/').removesuffix('_gcvit_recipe')
    return '_'.join(name.split('_')[-2:]), name.replace('swin', 'gcvit').replace('convnext', 'gcvit')


def leaves(change, path=()):
    """The settings that a change names, as paths."""
    for key, value in change.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        elif key != '_delete_':
            yield (*path, key)


def channels_of(model):
    """C of all four stages; what follows takes all of them, or the last three."""
    with torch.no_grad():
        last = model.backbone(torch.zeros(1, 3, 64, 64, device='meta'))[-1].shape[1]
    return [last // 8, last // 4, last // 2, last]


@pytest.mark.long
def test_parameters_of_baselines_are_the_published_ones():
    """Of the backbone to the digit those of timm's classifier without its head; its norm is that of the last map, and
    each other map has one.
    """
    millions = {name: round(parameters_of(model_of(f'baselines/{name}')) / 1e6) for name in PUBLISHED}
    assert millions == pytest.approx(PUBLISHED, abs=1)
    for name in BASELINES:
        model, backbone = model_of(name), split_name(name)[0]
        with torch.device('meta'):
            classifier = timm.create_model(TIMM_CLASSIFIERS[backbone])
        without_head = parameters_of(classifier) - (classifier.num_features * 1000 + 1000)
        norms = sum(2 * c for c in channels_of(model)[:3][3 - (len(model.backbone.out_indices) - 1) :])
        assert parameters_of(model.backbone) == without_head + norms, name


def test_with_gcvits_recipe_only_the_backbone_and_what_fits_to_it_differ_from_gcvit():
    like_for_like = [name for name in BASELINES if name.endswith('_gcvit_recipe')]
    assert len(like_for_like) == 6
    for name in like_for_like:
        cfg, recipe = read(name), read(split_name(name)[1])
        for key in ('param_scheduler', 'train_cfg', 'train_dataloader', 'val_dataloader', 'val_evaluator'):
            assert cfg[key] == recipe[key], (name, key)
        assert cfg.optim_wrapper.optimizer == recipe.optim_wrapper.optimizer, name
        assert cfg.optim_wrapper.type == recipe.optim_wrapper.type, name
        assert cfg.model.backbone.drop_path_rate == recipe.model.backbone.drop_path_rate, name
        changed = [*leaves(difference(cfg.model.to_dict(), recipe.model.to_dict()))]
        assert {path[-1] for path in changed if path[0] != 'backbone'} <= {'in_channels'}, (name, changed)
