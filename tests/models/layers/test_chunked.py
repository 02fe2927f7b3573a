"""Large batches and maps, in chunks that a CPU is faster with."""

from typing import ClassVar

import pytest
import torch
from torch import nn

from mmgcvit.models.layers import cpu
from mmgcvit.models.layers.cpu import images_in_chunks, patches_in_chunks, tokens_in_chunks


class Counting(nn.Linear):
    """Notes how many rows it is given at a time."""

    def __init__(self, *dims):
        super().__init__(*dims)
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return super().forward(x)


class Levels(nn.Module):
    """A network of levels (before, stage)."""

    def __init__(self, *levels):
        super().__init__()
        self.pairs = nn.ModuleList(nn.ModuleList(level) for level in levels)

    def forward(self, x):
        for before, stage in self.pairs:
            x = images_in_chunks(before, stage, x)
        return x


class Tokens(nn.Sequential):
    @tokens_in_chunks
    def forward(self, x):
        return super().forward(x)


@pytest.fixture(autouse=True)
def little_at_once(monkeypatch):
    """64 elements of images, 16 of tokens, 24 of patches."""
    monkeypatch.setattr(cpu, 'IMAGE_CHUNK_BYTES', 64 * 4)
    monkeypatch.setattr(cpu, 'TOKEN_CHUNK_BYTES', 16 * 4)
    monkeypatch.setattr(cpu, 'PATCH_CHUNK_BYTES', 24 * 4)


@pytest.mark.parametrize(
    ('width', 'expected'), [(4, [7]), (8, [4, 3]), (16, [2, 2, 2, 1]), (32, [1] * 7), (500, [1] * 7)]
)
def test_as_many_images_are_taken_as_fit(width, expected):
    """Twice the elements of what comes in, for a stage's MLPs are the widest."""
    before, stage = Counting(width, 4), Counting(4, 4)
    Levels((before, stage))(torch.randn(7, width))
    assert before.seen == stage.seen == expected


def test_a_stem_tells_its_largest_map():
    stem = Counting(4, 4)
    stem.most_elements = lambda size: 32
    Levels((stem, nn.Identity()))(torch.randn(3, 1, 4, 4))
    assert stem.seen == [2, 1]


def test_levels_follow_each_other_chunk_by_chunk():
    layers = [Counting(4, 16), Counting(16, 16), Counting(16, 6), Counting(6, 5)]
    images = torch.randn(9, 4)
    torch.testing.assert_close(Levels(layers[:2], layers[2:])(images), nn.Sequential(*layers)(images))
    assert layers[0].seen[:2] == layers[1].seen[:2] == [8, 1]
    assert layers[2].seen[:5] == layers[3].seen[:5] == [2, 2, 2, 2, 1]


def test_no_images_are_no_images():
    assert Levels((nn.Linear(4, 4), nn.Identity()))(torch.randn(0, 4)).shape == (0, 4)


@pytest.mark.parametrize(('num_tokens', 'expected'), [(8, [8]), (9, [2, 2, 2, 2, 1])])
def test_tokens_are_taken_in_chunks_where_all_are_too_wide(num_tokens, expected):
    layer = Counting(4, 8)
    with torch.no_grad():
        Tokens(layer, nn.Linear(8, 4))(torch.randn(num_tokens, 4))
    assert layer.seen == expected


def test_training_keeps_nothing_that_is_wide_and_has_the_same_gradients():
    layers, x = Tokens(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)), torch.randn(2, 3, 5, 4, requires_grad=True)
    widths, wanted = [], [x, *layers.parameters()]
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: widths.append(kept.shape) or kept, lambda kept: kept):
        out = layers(x)
    assert out.shape == x.shape
    assert not any(8 in shape for shape in widths)
    expected = nn.Sequential(*layers)(x)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(
        torch.autograd.grad(out.square().sum(), wanted), torch.autograd.grad(expected.square().sum(), wanted)
    )


def test_a_dropout_inside_draws_the_same_again_in_the_backward_pass():
    """With x = 1 everywhere, the gradient is the output: what was dropped, and what was not."""
    layers = Tokens(nn.Linear(8, 8), nn.Dropout(0.5))
    nn.init.eye_(layers[0].weight)
    nn.init.zeros_(layers[0].bias)
    x = torch.ones(50, 8, requires_grad=True)
    out = layers(x)
    out.sum().backward()
    assert set(out.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(x.grad, out)


def test_patches_are_taken_in_chunks_in_inference_only():
    class Attention(nn.Module):
        seen: ClassVar[list] = []

        @patches_in_chunks
        def forward(self, copies):
            self.seen.append(copies[0].numel() // copies.shape[-1])
            return copies.sum(0)

    attention, copies = Attention(), torch.randn(3, 2, 2, 2, 4)
    with torch.no_grad():
        found = attention(copies)
    assert attention.seen == [2, 2, 2, 2]
    torch.testing.assert_close(found, copies.sum(0))
    torch.testing.assert_close(attention(copies), copies.sum(0))
    assert attention.seen[4:] == [8]


@pytest.mark.parametrize(
    'register', ['register_forward_hook', 'register_forward_pre_hook', 'register_full_backward_hook']
)
def test_layers_with_hooks_in_them_are_given_all_at_once(register):
    before, inside = Counting(32, 4), Counting(4, 8)
    getattr(inside, register)(lambda *args: None)
    Levels((before, nn.Sequential(inside)))(torch.randn(3, 32))
    Tokens(inside)(torch.randn(20, 4))
    assert before.seen == [3]
    assert inside.seen == [3, 20]


def test_who_hooks_all_layers_sees_them_whole():
    layer = Counting(32, 4)
    handle = nn.modules.module.register_module_forward_hook(lambda *args: None)
    try:
        Levels((layer, nn.Identity()))(torch.randn(3, 32))
    finally:
        handle.remove()
    assert layer.seen == [3]


def test_other_devices_take_all_at_once():
    layer, inside = Counting(32, 4).to('meta'), Counting(4, 8).to('meta')
    Levels((layer, nn.Identity()))(torch.randn(3, 32, device='meta'))
    Tokens(inside)(torch.randn(20, 4, device='meta'))
    assert layer.seen == [3]
    assert inside.seen == [20]
