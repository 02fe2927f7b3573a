"""Linear layers equal torch's, also by oneDNN, and hooks are detected."""

import pytest
import torch
from torch import nn

from mmgcvit.models.layers import linear
from mmgcvit.models.layers.linear import Linear, is_plain

from .test_attention import record_operators


def nothing(*_):
    """Do nothing, as a hook."""


@pytest.mark.parametrize('kind', ['forward_hook', 'forward_pre_hook', 'full_backward_hook', 'full_backward_pre_hook'])
def test_a_layer_with_hooks_is_not_plain(kind):
    layer = nn.Linear(2, 2)
    handle = getattr(layer, f'register_{kind}')(nothing)
    assert not is_plain(layer)
    handle.remove()
    assert is_plain(layer)


@pytest.fixture(params=[True, False], ids=['as convolution', 'as it is'])
def convert_to_convolution(request, monkeypatch):
    monkeypatch.setattr(linear, 'is_onednn_faster', lambda: request.param)
    monkeypatch.setattr(linear, 'MIN_ONEDNN_ELEMENTS', 0)
    monkeypatch.setattr(torch, 'get_num_threads', lambda: 2)
    return request.param


def test_outputs_and_gradients_equal_torchs_linear(convert_to_convolution):
    for shape in [(7,), (5, 7), (2, 5, 7), (2, 3, 4, 7), (2, 3, 4, 5, 7), (0, 3, 7), (2, 0, 7)]:
        for bias in (True, False):
            layer, results = Linear(7, 6, bias=bias), []
            for call in (Linear.forward, nn.Linear.forward):
                x = torch.arange(float(torch.Size(shape).numel())).reshape(shape).sin().requires_grad_()
                out = call(layer, x)
                results.append((out, torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])))
            torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)
    layer, x = Linear(7, 6), torch.randn(5, 7)
    assert ('aten::conv2d' in record_operators(lambda: layer(x))) == convert_to_convolution
