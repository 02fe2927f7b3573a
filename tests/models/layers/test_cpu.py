"""Test chunking on the CPU, linear layers through oneDNN, and the detection of hooks."""

import pytest
import torch
from torch import nn

from mmgcvit.models.layers import cpu
from mmgcvit.models.layers.cpu import Linear, chunk_tokens, has_hooks, is_plain, run_in_chunks

from .test_attention import record_operators


class Counting(nn.Linear):
    """A layer that records the number of rows of each call."""

    def __init__(self, *dims):
        super().__init__(*dims)
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return super().forward(x)


class Tokens(nn.Sequential):
    @chunk_tokens
    def forward(self, x):
        return super().forward(x)


@pytest.fixture
def limit_chunks(monkeypatch):
    """64 elements of images, 16 of tokens, 24 of patches."""
    monkeypatch.setattr(cpu, 'IMAGE_CHUNK_BYTES', 64 * 4)
    monkeypatch.setattr(cpu, 'TOKEN_CHUNK_BYTES', 16 * 4)
    monkeypatch.setattr(cpu, 'PATCH_CHUNK_BYTES', 24 * 4)


@pytest.mark.usefixtures('limit_chunks')
def test_chunks_hold_as_many_images_as_fit():
    """Twice the elements of what comes in, for a stage's MLPs are the widest; a stem tells its largest map itself."""
    for width, expected in [(4, [7]), (8, [4, 3]), (16, [2, 2, 2, 1]), (32, [1] * 7), (500, [1] * 7)]:
        before, stage, images = Counting(width, 4), Counting(4, 4), torch.randn(7, width)
        found = run_in_chunks(before, stage, images)
        assert before.seen == stage.seen == expected
        torch.testing.assert_close(found, stage(before(images)))
    stem = Counting(4, 4)
    stem.compute_max_numel = lambda size: 32
    run_in_chunks(stem, nn.Identity(), torch.randn(3, 1, 4, 4))
    assert stem.seen == [2, 1]
    assert run_in_chunks(nn.Linear(4, 4), nn.Identity(), torch.randn(0, 4)).shape == (0, 4)


@pytest.mark.usefixtures('limit_chunks')
def test_checkpointing_replays_dropout_in_the_backward_pass():
    """With x = 1 and weights of 1 the gradient equals the output."""
    layers = Tokens(nn.Linear(8, 8), nn.Dropout(0.5))
    nn.init.eye_(layers[0].weight)
    nn.init.zeros_(layers[0].bias)
    x = torch.ones(50, 8, requires_grad=True)
    out = layers(x)
    out.sum().backward()
    assert set(out.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(x.grad, out)


def nothing(*_):
    """Do nothing, as a hook."""


def test_hooks_of_a_layer_its_children_and_global_ones_are_detected():
    kinds = ('forward_hook', 'forward_pre_hook', 'full_backward_hook', 'full_backward_pre_hook')
    for kind in kinds:
        inner = nn.Linear(2, 2)
        outer = nn.Sequential(inner)
        handle = getattr(inner, f'register_{kind}')(nothing)
        assert (has_hooks(outer), has_hooks(inner), is_plain(inner)) == (True, True, False), kind
        handle.remove()
        assert (has_hooks(outer), is_plain(inner)) == (False, True), kind
    for kind in kinds[:3]:
        handle = getattr(nn.modules.module, f'register_module_{kind}')(nothing)
        try:
            assert has_hooks(nn.Linear(2, 2)), kind
        finally:
            handle.remove()


@pytest.fixture(params=[True, False], ids=['as convolution', 'as it is'])
def convert_to_convolution(request, monkeypatch):
    monkeypatch.setattr(cpu, 'is_onednn_faster', lambda: request.param)
    monkeypatch.setattr(cpu, 'MIN_ONEDNN_ELEMENTS', 0)
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
