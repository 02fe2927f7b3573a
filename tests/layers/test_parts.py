"""Large batches and maps, a part at a time."""

import pytest
import torch
from torch import nn

from mmgcvit.layers import parts
from mmgcvit.layers.parts import images_in_parts, tokens_in_parts


class Counting(nn.Linear):
    """Notes how many rows it is given at a time."""

    def __init__(self, *dims):
        super().__init__(*dims)
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return super().forward(x)


@pytest.fixture(autouse=True)
def little_at_once(monkeypatch):
    """64 numbers of an image, 16 of tokens."""
    monkeypatch.setattr(parts, 'MOST_BYTES', 64 * 4)
    monkeypatch.setattr(parts, 'BYTES_OF_TOKENS', 16 * 4)


@pytest.mark.parametrize(
    ('numel', 'expected'), [(8, [7]), (16, [4, 3]), (32, [2, 2, 2, 1]), (64, [1] * 7), (1000, [1] * 7)]
)
def test_as_many_images_are_taken_as_fit(numel, expected):
    layer = Counting(4, 4)
    images_in_parts([layer], torch.randn(7, 4), numel)
    assert layer.seen == expected


def test_layers_follow_each_other_part_by_part():
    first, second, images = Counting(4, 6), Counting(6, 5), torch.randn(3, 4)
    found = images_in_parts([first, second], images, numel=32)
    torch.testing.assert_close(found, nn.Sequential(first, second)(images))
    assert first.seen == second.seen == [2, 1, 3]


def test_no_images_are_no_images():
    assert images_in_parts([nn.Linear(4, 4)], torch.randn(0, 4), numel=64).shape == (0, 4)


@pytest.mark.parametrize(('num_tokens', 'expected'), [(8, [8]), (9, [2, 2, 2, 2, 1])])
def test_tokens_are_taken_in_parts_where_all_are_too_wide(num_tokens, expected):
    layer = Counting(4, 4)
    with torch.no_grad():
        tokens_in_parts([layer], torch.randn(num_tokens, 4), channels=8)
    assert layer.seen == expected


def test_training_keeps_nothing_that_is_wide_and_has_the_same_gradients():
    layers, x = (nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)), torch.randn(2, 3, 5, 4, requires_grad=True)
    widths, wanted = [], [x, *nn.Sequential(*layers).parameters()]
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: widths.append(kept.shape) or kept, lambda kept: kept):
        out = tokens_in_parts(layers, x, channels=8)
    assert out.shape == x.shape
    assert not any(8 in shape for shape in widths)
    expected = nn.Sequential(*layers)(x)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(
        torch.autograd.grad(out.square().sum(), wanted), torch.autograd.grad(expected.square().sum(), wanted)
    )


@pytest.mark.parametrize(
    'register', ['register_forward_hook', 'register_forward_pre_hook', 'register_full_backward_hook']
)
def test_layers_with_hooks_in_them_are_given_all_at_once(register):
    layer = Counting(4, 4)
    getattr(layer, register)(lambda *args: None)
    images_in_parts([nn.Sequential(layer)], torch.randn(3, 4), numel=64)
    tokens_in_parts([nn.Sequential(layer)], torch.randn(20, 4), channels=8)
    assert layer.seen == [3, 20]


def test_who_hooks_all_layers_sees_them_whole():
    layer = Counting(4, 4)
    handle = nn.modules.module.register_module_forward_hook(lambda *args: None)
    try:
        images_in_parts([layer], torch.randn(3, 4), numel=64)
    finally:
        handle.remove()
    assert layer.seen == [3]


def test_other_devices_take_all_at_once():
    layer = Counting(4, 4).to('meta')
    images_in_parts([layer], torch.randn(3, 4, device='meta'), numel=64)
    tokens_in_parts([layer], torch.randn(20, 4, device='meta'), channels=8)
    assert layer.seen == [3, 20]
