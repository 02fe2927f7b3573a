"""Compare shifted copies and global attention with plain matrix products."""

from math import prod

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmgcvit.models.lsa.attention import SelfAttention
from mmgcvit.models.lsa.shifted_patches import make_shifted_copies

from .plain import shift

steps = st.integers(-8, 8)


@given(
    shifts=st.lists(st.tuples(steps, steps), min_size=1, max_size=4),
    mode=st.sampled_from(['circular', 'reflect']),
)
def test_shifted_copies_are_the_image_moved_down_and_right(shifts, mode, device):
    images = torch.rand(2, 3, 9, 11, device=device)
    copies = make_shifted_copies(images, shifts, mode)
    for moved, (dy, dx) in zip(copies, shifts, strict=True):
        assert torch.equal(moved, shift(images, dy, dx, mode))


# Channels, heads, key/value heads.
heads = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 5)).map(
    lambda numbers: (prod(numbers), numbers[0] * numbers[1], numbers[0])
)


def initialised(attn, device):
    for parameter in attn.parameters():
        nn.init.normal_(parameter, std=0.5)
    return attn.to(device)


@settings(max_examples=25)
@given(
    heads=heads,
    batch=st.integers(1, 3),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_windowed_attention_is_global_attention_in_each_window(heads, batch, size, window, device):
    """Windows are as equal as possible, and zero-padded tokens are attended like any other."""
    attn = initialised(SelfAttention(*heads, window), device)
    whole = SelfAttention(*heads, None).to(device)  # as in PlainLSA
    whole.load_state_dict(attn.state_dict())
    x = torch.randn(batch, *size, heads[0], device=device)
    h, w = (-(-side // -(-side // most)) for side, most in zip(size, window, strict=True))
    padded = nn.functional.pad(x, (0, 0, 0, -size[1] % w, 0, -size[0] % h))
    expected = torch.empty_like(padded)
    for top in range(0, padded.shape[1], h):
        for left in range(0, padded.shape[2], w):
            crop = slice(None), slice(top, top + h), slice(left, left + w)
            expected[crop] = whole(padded[crop])
    torch.testing.assert_close(attn(x), expected[:, : size[0], : size[1]], atol=1e-4, rtol=1e-4)
