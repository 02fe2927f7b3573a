"""Initial weights of transformer layers."""

import pytest
import torch
from torch import nn

from mmgcvit.models.layers import init_transformer_weights


@pytest.fixture
def initialised():
    torch.manual_seed(0)
    layers = nn.ModuleDict({'linear': nn.Linear(300, 200), 'norm': nn.LayerNorm(8), 'conv': nn.Conv2d(3, 8, 3)})
    for parameter in layers.parameters():
        nn.init.constant_(parameter, 7)
    return layers.apply(init_transformer_weights)


def test_linear_layers_are_normal_with_deviation_002_and_without_bias(initialised):
    weight, bias = initialised['linear'].parameters()
    torch.testing.assert_close(weight.std(), torch.tensor(0.02), rtol=0.02, atol=0)
    torch.testing.assert_close(weight.mean(), torch.tensor(0.0), rtol=0, atol=0.001)
    assert not bias.any()


def test_norms_change_nothing(initialised):
    assert initialised['norm'].weight.eq(1).all()
    assert not initialised['norm'].bias.any()


def test_convolutions_are_left_alone(initialised):
    assert all(parameter.eq(7).all() for parameter in initialised['conv'].parameters())


def test_a_linear_layer_without_a_bias_serves():
    layer = nn.Linear(300, 200, bias=False)
    init_transformer_weights(layer)
    assert layer.weight.std() < 0.03
