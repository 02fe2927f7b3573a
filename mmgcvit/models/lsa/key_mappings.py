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
    """Return the attributes that decide the shapes of weights, from all tensors of a network or its
    first stages.

    Weights do not show shifts, stride and padding. Of heads and key/value heads, they show only the
    ratio. The result has placeholders for all of these, so it is equal for networks that differ in
    nothing else.
    """
    blocks = count_blocks(tensors)
    stages = sorted(blocks)[:num_stages]
    embed_dims = [get_shape(tensors, f'stages.{i}.norm1.weight', 1)[0] for i in stages]
    kv_rows = [get_shape(tensors, f'stages.{i}.blocks.0.attn.kv.weight', 2)[0] for i in stages]
    # How many query heads share a key/value head.
    group_sizes = [2 * dims // rows for dims, rows in zip(embed_dims, kv_rows, strict=True)]
    num_convs = sum(name.startswith('stem.convs.') for name in tensors) // 2  # weights and biases
    position = get_shape(tensors, 'stages.0.position.pos_embed')
    num_positions = position[0] if len(position) == 3 else 1
    kernel_size = get_shape(tensors, 'stem.convs.0.weight', 4)[-1]
    shifts = ((0, 0),) * max(num_convs, num_positions)
    return {
        'embed_dims': tuple(embed_dims),
        'depths': tuple(blocks[i] for i in stages),
        'num_heads': tuple(group_sizes),
        'num_kv_heads': (1,) * len(stages),
        'kernel_size': kernel_size,
        'stride': kernel_size,
        'padding': 0,
        'shifts': shifts if len(shifts) > 1 else None,
        'shared_conv': num_convs == 1,
        'shared_position': num_positions == 1,
        'mlp_ratio': infer_mlp_ratio(tensors),
    }
