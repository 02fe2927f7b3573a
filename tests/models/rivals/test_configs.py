"""Every config of an ablation builds, and has the parameters that its one change implies."""

import re

import pytest
import torch
from mmcv.cnn.bricks import DropPath

from mmgcvit.experiments.complexity import count_macs
from mmgcvit.models import rivals as ablations

from ...configs.models import head_of, norms_and_tables, on_meta, parameters_of, read, undecayed
from ...conftest import ROOT

CONFIGS = sorted(f'ablations/{path.stem}' for path in (ROOT / 'configs' / 'ablations').glob('*.py'))
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


@pytest.fixture(scope='module', params=CONFIGS)
def built(request):
    """Each config and its model."""
    cfg = read(request.param)
    return request.param, cfg, on_meta(cfg)


@torch.no_grad()
def test_the_model_builds_and_what_follows_takes_the_backbones_maps(built):
    _, cfg, model = built
    model.eval()
    maps = model.backbone(torch.zeros(1, 3, 64, 64, device='meta'))
    channels = [found.shape[1] for found in maps]
    if cfg.default_scope == 'mmpretrain':
        assert model.head(model.neck(maps)).shape == (1, cfg.model.head.num_classes)
    elif cfg.default_scope == 'mmseg':
        for head in (model.decode_head, model.auxiliary_head):
            assert head(maps).shape[1] == cfg.model.decode_head.num_classes
    else:
        assert channels == list(cfg.model.neck.in_channels)
        assert len(model.neck(maps)) == cfg.model.neck.num_outs


def test_norms_and_position_tables_have_no_weight_decay_and_nothing_else(built):
    """In classification no vector has any."""
    _, cfg, model = built
    assert undecayed(cfg, model) == norms_and_tables(cfg, model)


def test_drop_path_is_the_recipes(built):
    name, _, model = built
    rate = max(module.drop_prob for module in model.backbone.modules() if isinstance(module, DropPath))
    assert rate == pytest.approx(0.1 if 'lsa' in name else 0.3 if 'swin_s' in name else 0.2)


def test_a_head_says_what_to_expect(built):
    name, cfg, _ = built
    head = head_of(name)
    assert re.search(r'^Expected: ', head, re.MULTILINE)
    assert re.search(r'^Memory:   ', head, re.MULTILINE)
    assert 'run in full' in re.sub(r'\s+', ' ', head)
    assert bool(re.search(r'^--amp: ', head, re.MULTILINE)) == (cfg.optim_wrapper.type == 'OptimWrapper')


def test_every_rival_has_a_config():
    used = {read(name).model.backbone.type.removeprefix('mmgcvit.') for name in CONFIGS}
    assert used == {*ablations.__all__, 'GCViT', 'LSA'}


@pytest.mark.parametrize('name', CLASSIFIERS)
def test_parameters_of_a_classifier(name):
    assert parameters_of(on_meta(read(f'ablations/{name}'))) == CLASSIFIERS[name]


def test_parameters_of_every_config_are_tested_to_the_digit():
    """In the three tests that follow."""
    dense = {f'{task}_{row}' for task in DENSE for row in (*ROWS, *CHANGED_TABLES, 'swin_t_unshifted')}
    assert set(CONFIGS) == {f'ablations/{name}' for name in (*CLASSIFIERS, *dense)}


@pytest.mark.parametrize('task', DENSE)
def test_parameters_of_dense_models(task):
    """A change of the backbone changes them by as much as the classifier's; windows change the tables."""
    full, window = DENSE[task]
    whole = parameters_of(on_meta(read(full)))

    def of(row):
        return parameters_of(on_meta(read(f'ablations/{task}_{row}')))

    for row, classifier in ROWS.items():
        assert of(row) - whole == CLASSIFIERS[classifier] - GCVIT_T, row
    assert of('gcvit_t_masked_padding') == whole
    assert of('gcvit_t_no_position') == whole - tables((window,) * 4)
    for other in (7, 14):
        assert of(f'gcvit_t_win{other}') == whole - tables((window,) * 4) + tables((other,) * 4)


def test_parameters_of_dense_swin_without_shifting_are_those_of_swin():
    """Of the backbone: the classifier without its head, and the norms of the first three maps."""
    norms = 2 * (96 + 192 + 384)
    for task in DENSE:
        backbone = on_meta(read(f'ablations/{task}_swin_t_unshifted')).backbone
        assert parameters_of(backbone) == SWIN_T - linear(768, 1000) + norms


def test_multiply_adds_of_swin_without_shifting_are_those_of_swin():
    model = on_meta(read('ablations/swin_t_unshifted_in1k'))
    macs = count_macs(lambda: model.eval().backbone(torch.empty(1, 3, 224, 224, device='meta')))
    assert round(macs / 1e9, 1) == 4.5


def test_dense_rows_start_from_the_classifier_of_their_row():
    for name in CONFIGS:
        start = read(name).model.backbone.get('init_cfg')
        if start is not None and not start.checkpoint.startswith('https://'):
            classifier = start.checkpoint.split('/')[1]
            assert f'ablations/{classifier}' in CONFIGS
            assert re.sub('^ablations/(mask_rcnn|upernet)_', '', name) == classifier.removesuffix('_in1k')
            assert read(f'ablations/{classifier}').train_cfg.max_epochs == 310


def test_without_moving_average_there_is_no_hook_for_it():
    assert any(hook.type == 'EMAHook' for hook in read('gcvit_t_in1k').custom_hooks)
    assert read('ablations/gcvit_t_no_ema_in1k').custom_hooks == []


def test_the_batch_of_1024():
    cfg = read('ablations/gcvit_t_bs1024_in1k')
    assert 8 * cfg.train_dataloader.batch_size * cfg.optim_wrapper.accumulative_counts == 1024
    assert cfg.optim_wrapper.optimizer.lr == 1e-3
