"""GC ViT's own arguments and parts; what every backbone must do is in tests/models/contract."""

import numpy as np
import pytest
import torch

from mmgcvit import GCViT
from mmgcvit.models.gcvit.attention import GlobalWindowAttention, LocalWindowAttention
from mmgcvit.models.gcvit.backbone import drop_path_schedule
from mmgcvit.models.gcvit.global_query import GlobalQueryGenerator, query_poolings

SMALL = {'embed_dims': 16, 'depths': (2, 2, 3, 2), 'num_heads': (1, 2, 4, 8), 'mlp_ratio': 2}


def test_even_blocks_attend_locally_and_odd_blocks_globally():
    for stage in GCViT(SMALL).stages:
        for i, block in enumerate(stage.blocks):
            assert isinstance(block.attn, GlobalWindowAttention if i % 2 else LocalWindowAttention)


def test_drop_path_rises_linearly_over_all_blocks():
    assert drop_path_schedule(0.3, (1, 2, 1)) == [[0.0], pytest.approx([0.1, 0.2]), [pytest.approx(0.3)]]
    assert drop_path_schedule(0.3, (1,)) == [[0.0]]


@pytest.mark.parametrize(
    ('windows', 'pretrain_img_size', 'stage2_pooled'),
    [
        ((7, 7, 14, 7), 224, False),
        ((12, 12, 24, 12), 384, False),
        ((16, 16, 32, 16), 512, False),
        ((24, 24, 24, 24), 224, True),
        ((7, 7, 14, 7), 384, True),
        ((7, 7, 14, 7), (224, 224), False),
        ((7, 7, 14, 7), [224, 448], True),
    ],
)
def test_stage_2_pools_its_query_unless_its_window_is_the_pretraining_map(windows, pretrain_img_size, stage2_pooled):
    poolings = query_poolings([(w, w) for w in windows], pretrain_img_size)
    assert poolings == ((True, True, True), (True, True), (stage2_pooled,), (False,))


@pytest.mark.parametrize(('size', 'window'), [((56, 56), (7, 7)), ((9, 31), (5, 8)), ((1, 1), (7, 7))])
def test_the_global_query_has_the_windows_size_whatever_the_maps(size, window):
    generator = GlobalQueryGenerator(16, num_heads=4, window=window, poolings=(True, True, True))
    assert generator(torch.rand(2, *size, 16)).shape == (2, 4, window[0] * window[1], 4)


def test_windows_may_differ_by_stage_and_be_oblong():
    model = GCViT(SMALL, window_size=(8, (4, 6), (7, 3), 5)).eval()
    assert [tuple(out.shape[1:]) for out in model(torch.rand(1, 3, 70, 90))] == [
        (16, 18, 23),
        (32, 9, 12),
        (64, 5, 6),
        (128, 3, 3),
    ]


def test_whole_numbers_of_numpy_and_a_whole_layer_scale_serve():
    arch = {**SMALL, 'depths': np.array([2, 2, 3, 2]), 'layer_scale': 1}
    model = GCViT(arch, window_size=np.int64(7), out_indices=[np.int64(3)], in_channels=np.int32(3))
    assert model(torch.rand(1, 3, 32, 32))[0].shape == (1, 128, 1, 1)


def test_a_stage_of_one_block_keeps_its_generator_out_of_training():
    """It has no global attention; distributed training would wait for a gradient that never comes."""
    model = GCViT({**SMALL, 'depths': (2, 2, 3, 1)}).train()
    sum(found.square().mean() for found in model(torch.rand(1, 3, 64, 64))).backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
    assert not any(parameter.requires_grad for parameter in model.stages[3].global_query.parameters())


def test_initial_weights_are_the_papers():
    model = GCViT('xxtiny')
    weights = torch.cat([m.weight.flatten() for m in model.modules() if isinstance(m, torch.nn.Linear)])
    tables = torch.cat([p.flatten() for name, p in model.named_parameters() if name.endswith('bias_table')])
    for values in (weights, tables):
        assert values.std().item() == pytest.approx(0.02, rel=0.02)
    assert all(not m.bias.any() for m in model.modules() if isinstance(m, torch.nn.Linear) and m.bias is not None)


@pytest.mark.parametrize(
    ('arguments', 'error', 'message'),
    [
        ({'arch': 'huge'}, ValueError, "'huge'.*'xxtiny'.*'large'"),
        ({'arch': 3}, TypeError, 'name or a dict'),
        ({'arch': {'embed_dims': 8}}, ValueError, 'missing keys.*depths'),
        ({'arch': {**SMALL, 'heads': 3}}, ValueError, 'unknown keys.*heads'),
        ({'arch': {**SMALL, 'depths': (2, 2, 2)}}, ValueError, 'depths is .*4 whole numbers'),
        ({'arch': {**SMALL, 'num_heads': (3, 2, 4, 8)}}, ValueError, '16 channels of stage 0.*3 heads'),
        ({'window_size': (7, 7, 14)}, ValueError, '3 entries.*4 of them'),
        ({'window_size': 0}, ValueError, 'window_size is 0, .*at least 1'),
        ({'window_size': (7, 7, -1, 7)}, ValueError, r'\(-1, -1\).*at least 1'),
        ({'window_size': 7.0}, TypeError, '7.0.*whole number'),
        ({'window_size': True}, TypeError, 'True is no whole number'),
        ({'window_size': b'abcd'}, TypeError, 'whole number'),
        ({'arch': {**SMALL, 'embed_dims': 2}}, ValueError, 'embed_dims is 2; expected .*at least 4'),
        ({'arch': {**SMALL, 'embed_dims': 16.0}}, ValueError, r'embed_dims is 16\.0'),
        ({'arch': {**SMALL, 'mlp_ratio': '2'}}, ValueError, "mlp_ratio is '2'; expected a number"),
        ({'arch': {**SMALL, 'layer_scale': 'x'}}, ValueError, "layer_scale is 'x'"),
        ({'arch': {**SMALL, 'depths': 2}}, ValueError, 'depths is 2; expected 4'),
        ({'drop_path_rate': '0.1'}, TypeError, "'0.1'; expected a number"),
        ({'window_size': (7, 7, '14', 7)}, TypeError, "'14'"),
        ({'window_size': (7, 7, (1, 2, 3), 7)}, ValueError, r'\(1, 2, 3\).*pairs'),
        ({'pretrain_img_size': 16}, ValueError, '16.*32 px'),
        ({'pretrain_img_size': '224'}, TypeError, "'224'"),
        ({'drop_path_rate': 1.0}, ValueError, r'1\.0.*less than 1'),
    ],
)
def test_bad_arguments_are_refused_with_what_is_allowed(arguments, error, message):
    with pytest.raises(error, match=message):
        GCViT(**{'arch': SMALL, **arguments})
