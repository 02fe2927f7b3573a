"""Windows of LSA's self-attention. Global and shifted attention: contract/test_plain.py."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from mmgcvit.models.lsa.attention import SelfAttention

CHANNELS, HEADS, KV_HEADS = 8, 4, 2


@settings(max_examples=25)
@given(
    batch=st.integers(1, 3),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_windowed_attention_is_global_attention_in_each_window(batch, size, window, device):
    """Windows are as equal as possible, and zero-padded tokens are attended like any other."""
    windowed, whole = (
        SelfAttention(CHANNELS, HEADS, KV_HEADS, largest).to(device) for largest in (window, None)
    )
    whole.load_state_dict(windowed.state_dict())
    x = torch.randn(batch, *size, CHANNELS, device=device)
    h, w = (-(-side // -(-side // most)) for side, most in zip(size, window, strict=True))
    padded = nn.functional.pad(x, (0, 0, 0, -size[1] % w, 0, -size[0] % h))
    expected = torch.empty_like(padded)
    for top in range(0, padded.shape[1], h):
        for left in range(0, padded.shape[2], w):
            crop = slice(None), slice(top, top + h), slice(left, left + w)
            expected[crop] = whole(padded[crop])
    found = windowed(x)
    torch.testing.assert_close(found, expected[:, : size[0], : size[1]], atol=1e-5, rtol=1e-4)
