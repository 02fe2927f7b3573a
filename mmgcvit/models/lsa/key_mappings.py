"""Translate the keys of LSA checkpoints (the authors', this package's), and infer a variant from
weights.

Only the keys differ; values and shapes are equal. :class:`KeyMapping` explains the rows.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...checkpoints.translating import SAME, KeyMapping, get_shape, make_own_mapping
from ..pretrained import count_blocks, infer_mlp_ratio

POSITION_AND_NORMS = {'pos_emb': 'position.pos_embed', 'norm1.': 'norm1.', 'norm2.': 'norm2.'}

ORIGINAL = KeyMapping(
    name='the original LSA',
    signature_key='to_patch_embedding.projections.0.weight',
    rows=(
        ('to_patch_embedding.projections.', 'stem.convs.', SAME),
        ('layers.{number}.0.', 'stages.{number}.', POSITION_AND_NORMS),
        # Only the first block, which attends to the shifted copies, has the keys Wq_even and
        # Wkv_even.
        (
            'layers.0.0.layers.0.0.',
            'stages.0.blocks.0.attn.',
            {'Wq_even.': 'q.', 'Wkv_even.': 'kv.', 'proj.': 'proj.'},
        ),
        (
            'layers.{number}.0.layers.{number}.0.',
            'stages.{number}.blocks.{number}.attn.',
            {'Wq_odd.': 'q.', 'Wkv_odd.': 'kv.', 'proj.': 'proj.'},
        ),
        ('layers.{number}.0.layers.{number}.1.', 'stages.{number}.blocks.{number}.mlp.', SAME),
        ('layers.{number}.1.', 'downsamplers.{number}.', SAME),
        ('norm{number}.', 'norm{number}.', SAME),
        ('norm.', 'final_norm.', SAME),
        ('mlp_head.', 'head.fc.', SAME),
    ),
    short_name='original',
)

KEY_MAPPINGS = (ORIGINAL, make_own_mapping(signature_key='stem.convs.0.weight'))


def describe_shapes(tensors: Mapping[str, Tensor], num_stages: int | None) -> dict[str, Any]:
    """Return what the keys and shapes of weights show of the arch, for all or the first
    ``num_stages``.

    Of heads and key/value heads, they show only the ratio, and of shifts only how many copies of
    the image have a convolution or a position embedding of their own.
    """
    blocks = count_blocks(tensors)
    stages = sorted(blocks)[:num_stages]
    embed_dims = [get_shape(tensors, f'stages.{i}.norm1.weight', 1)[0] for i in stages]
    kv_rows = [get_shape(tensors, f'stages.{i}.blocks.0.attn.kv.weight', 2)[0] for i in stages]
    group_sizes = [2 * dims // rows for dims, rows in zip(embed_dims, kv_rows, strict=True)]
    position = get_shape(tensors, 'stages.0.position.pos_embed')
    return {
        'embed_dims': tuple(embed_dims),
        'depths': tuple(blocks[i] for i in stages),
        'heads_per_kv_head': tuple(group_sizes),
        'kernel_size': get_shape(tensors, 'stem.convs.0.weight', 4)[-1],
        'num_convs': sum(name.startswith('stem.convs.') for name in tensors) // 2,  # and biases
        'num_positions': position[0] if len(position) == 3 else 1,
        'mlp_ratio': infer_mlp_ratio(tensors),
    }


def make_arch(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the attributes of an arch whose weights have the keys and shapes of these.

    It computes something else than the network of the weights, which do not show shifts, stride,
    padding and numbers of heads.
    """
    shown = describe_shapes(tensors, None)
    num_copies = max(shown['num_convs'], shown['num_positions'])
    return {
        'embed_dims': shown['embed_dims'],
        'depths': shown['depths'],
        'num_heads': shown['heads_per_kv_head'],
        'num_kv_heads': (1,) * len(shown['depths']),
        'kernel_size': shown['kernel_size'],
        'stride': shown['kernel_size'],
        'padding': 0,
        'shifts': None if num_copies == 1 else ((0, 0),) * num_copies,
        'shared_conv': shown['num_convs'] == 1,
        'shared_position': shown['num_positions'] == 1,
        'mlp_ratio': shown['mlp_ratio'],
    }
