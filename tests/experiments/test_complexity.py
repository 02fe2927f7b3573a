"""Multiply-adds of operations. tests/configs compares those of whole networks with published ones."""

import torch
from torch import nn

from mmgcvit.experiments.complexity import count_macs


def test_multiply_adds_of_a_linear_layer_and_of_attention():
    with torch.device('meta'):
        linear, x = nn.Linear(3, 5), torch.empty(7, 3)
        q = torch.empty(2, 4, 6, 8)
    assert count_macs(lambda: linear(x)) == 7 * 3 * 5
    attention = nn.functional.scaled_dot_product_attention
    assert count_macs(lambda: attention(q, q, q)) == 2 * (2 * 4 * 6 * 6 * 8)
