"""The paper's complexity of attention (section 2), Omega(GC ViT) = 2HW(2C^2 + hwC), beside counted multiply-adds.

Legend: H x W feature map, h x w window, C channels, nH heads, r the MLP's ratio.
"""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmgcvit.experiments.complexity import count_macs
from mmgcvit.models.gcvit.attention import GlobalWindowAttention, LocalWindowAttention
from mmgcvit.models.gcvit.stage import Block


def omega(height, width, dims, window):
    """The paper's formula."""
    return 2 * height * width * (2 * dims**2 + window[0] * window[1] * dims)


@st.composite
def maps(draw):
    """Sizes of a map that windows divide, channels, windows and heads."""
    window = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    height, width = (side * draw(st.integers(1, 6)) for side in window)
    heads = draw(st.sampled_from([1, 2, 4]))
    return height, width, heads * draw(st.integers(1, 16)), window, heads


def counted(module, height, width, dims, window, heads):
    """Multiply-adds of attention, or of a block, on one map with one global query."""
    x = torch.empty(1, height, width, dims, device='meta')
    q_global = torch.empty(1, heads, window[0] * window[1], dims // heads, device='meta')
    return count_macs(lambda: module(x, q_global))


def on_meta(attention, dims, heads, window):
    with torch.device('meta'):
        return attention(dims, heads, window).eval()


@settings(max_examples=50)
@given(maps(), st.sampled_from([2, 3, 4]))
def test_attention_and_blocks_are_the_formula(sizes, ratio):
    """Local attention: projections to q, k and v and from the result 4HWC^2; scores and their product with v 2HW hw C.

    Global attention lacks the projection to queries, HWC^2: the formula leaves out the generator that makes the query
    once a stage. A block has an MLP besides, 2r HWC^2; norms, GELU, softmax and residuals hold no products.
    """
    height, width, dims, window, heads = sizes
    projection = height * width * dims**2
    attention = on_meta(LocalWindowAttention, dims, heads, window)
    assert counted(attention, *sizes) == omega(height, width, dims, window)
    without = on_meta(GlobalWindowAttention, dims, heads, window)
    assert counted(without, *sizes) == omega(height, width, dims, window) - projection
    with torch.device('meta'):
        block = Block(dims, attention, ratio * dims, layer_scale=1e-5, drop_path_rate=0.1).eval()
    assert counted(block, *sizes) == omega(height, width, dims, window) + 2 * ratio * projection


def test_a_map_that_windows_do_not_divide_costs_as_much_as_the_padded_one():
    """The formula takes H and W as multiples of h and w."""
    attention = on_meta(LocalWindowAttention, 32, 2, (7, 7))
    for size, padded in [((15, 15), (21, 21)), ((50, 80), (56, 84)), ((3, 9), (7, 14))]:
        assert counted(attention, *size, 32, (7, 7), 2) == omega(*padded, 32, (7, 7))
