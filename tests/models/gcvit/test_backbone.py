"""Test what only GC ViT does. What every backbone must do is in tests/models/contract."""

import pytest
import torch
from torch import nn

from mmgcvit import GCViT
from mmgcvit.models.gcvit.attention import GlobalWindowAttention, LocalWindowAttention
from mmgcvit.models.gcvit.backbone import compute_drop_path_rates

from ..contract.backbones import GCVIT, backpropagate


def test_drop_path_rises_linearly_over_all_blocks():
    assert compute_drop_path_rates(0.3, (1,)) == [[0.0]]
    assert compute_drop_path_rates(0.3, (1, 2, 1)) == [
        [0.0],
        pytest.approx([0.1, 0.2]),
        [pytest.approx(0.3)],
    ]


def test_published_variants_with_layer_scale_start_at_1e_5():
    """In the authors' code, the variants from small on have layer scale."""
    scaled = dict.fromkeys(('small', 'small2', 'base', 'large'), 1e-5)
    published = {'xxtiny': None, 'xtiny': None, 'tiny': None, 'tiny2': None, **scaled}
    assert {name: GCViT.archs[name].layer_scale for name in published} == published


def test_both_branches_of_every_block_start_with_the_layer_scale_of_the_arch():
    model = GCViT({**GCVIT, 'layer_scale': 0.25})
    scales = [
        x for name, x in model.named_parameters() if name.endswith('_residual.layer_scale.gamma')
    ]
    assert len(scales) == 2 * sum(GCVIT['depths'])
    assert all((scale == 0.25).all() for scale in scales)


def test_stage_2_pools_its_query_unless_its_window_is_the_pretraining_map():
    for pretrain_img_size, stage_2 in [(384, 1), ((224, 224), 0), ([224, 448], 1)]:
        model = GCViT(GCVIT, pretrain_img_size=pretrain_img_size)
        assert count_poolings(model) == [3, 2, stage_2, 0]


def test_an_arch_of_ones_own_says_how_often_queries_are_pooled():
    model = GCViT({**GCVIT, 'poolings': (1, None, 0, 2)}, pretrain_img_size=56, window_size=7)
    assert count_poolings(model) == [1, 0, 0, 2]
    model = GCViT({**GCVIT, 'poolings': (1, None, 0, 2)}, pretrain_img_size=56, window_size=8)
    assert count_poolings(model) == [1, 1, 0, 2]
    model(torch.rand(1, 3, 32, 32))


def count_poolings(model):
    """Return how often the global query generator of each stage halves its map."""
    return [
        sum(isinstance(module, nn.MaxPool2d) for module in stage.global_query.modules())
        for stage in model.stages
    ]


@pytest.mark.parametrize(
    ('attention_types', 'is_trained'),
    [
        ((GlobalWindowAttention, GlobalWindowAttention), True),
        ((LocalWindowAttention, LocalWindowAttention), False),
    ],
)
def test_the_query_generator_is_trained_if_a_block_uses_it_whatever_the_depth(
    attention_types, is_trained
):
    network = type('OwnGCViT', (GCViT,), {'attention_types': attention_types})
    model = network({**GCVIT, 'depths': (1, 2, 1, 2)})
    backpropagate(model.train()(torch.rand(1, 3, 64, 64)))
    for stage in model.stages:
        for parameter in stage.global_query.parameters():
            assert (parameter.requires_grad, parameter.grad is not None) == (is_trained,) * 2


def test_a_one_block_stage_leaves_the_query_generator_untrained():
    """Such a stage has no global attention, and DDP would wait for the gradient of an unused
    parameter.
    """
    model = GCViT({**GCVIT, 'depths': (2, 2, 3, 1)}).train()
    backpropagate(model(torch.rand(1, 3, 64, 64)))
    unused = set(model.stages[3].global_query.parameters())
    for parameter in model.parameters():
        assert parameter.requires_grad == (parameter not in unused)
        assert parameter.requires_grad == (parameter.grad is not None)
