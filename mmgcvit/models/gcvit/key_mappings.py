"""Translate the keys of GC ViT checkpoints (the authors', timm's, this package's), and infer a
variant from weights.

The values are equal, but timm stores some linear weights as 1x1 convolutions. :class:`KeyMapping`
explains the rows. Each dict maps the rest of a key, after its prefix, from the other implementation
to this package.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ...checkpoints.translating import BIAS_TABLE, SAME, KeyMapping, get_shape, make_own_mapping
from ..layers.position import compute_position_index
from ..pretrained import count_blocks, infer_mlp_ratio
from .archs import ARCHS, NUM_STAGES

# The keys of the authors' code ("original").
ORIGINAL_FUSED_MBCONV = {
    'conv.0.': 'conv.depthwise.',
    'conv.2.fc.0.': 'conv.squeeze_excite.squeeze.',
    'conv.2.fc.2.': 'conv.squeeze_excite.excite.',
    'conv.3.': 'conv.pointwise.',
}
NORMS_AND_REDUCTION = {'norm1.': 'norm_in.', 'reduction.': 'reduction.', 'norm2.': 'norm_out.'}
ORIGINAL_DOWNSAMPLER = ORIGINAL_FUSED_MBCONV | NORMS_AND_REDUCTION
SAME_IN_BLOCKS = {key: key for key in ('norm1.', 'attn.qkv.', 'attn.proj.', 'norm2.', 'mlp.')}
# In odd blocks, which have global attention, the layer "qkv" projects keys and values only.
KEYS_AND_VALUES = {'attn.qkv.': 'attn.kv.'}
QUERY = 'stages.{number}.global_query.extractors.'
ORIGINAL_BLOCK = SAME_IN_BLOCKS | {
    'attn.relative_position_bias_table': 'attn.position.relative_position_bias_table',
    'gamma1': 'attn_residual.layer_scale.gamma',
    'gamma2': 'mlp_residual.layer_scale.gamma',
}

ORIGINAL = KeyMapping(
    name='the original GC ViT',
    signature_key='patch_embed.conv_down.reduction.weight',
    rows=(
        ('patch_embed.proj.', 'stem.proj.', SAME),
        ('patch_embed.conv_down.', 'stem.downsample.', ORIGINAL_DOWNSAMPLER),
        ('levels.{number}.downsample.', 'downsamplers.{number}.', ORIGINAL_DOWNSAMPLER),
        (
            'levels.{number}.q_global_gen.to_q_global.{number}.',
            QUERY + '{number}.',
            ORIGINAL_FUSED_MBCONV,
        ),
        ('levels.{number}.blocks.{even}.', 'stages.{number}.blocks.{even}.', ORIGINAL_BLOCK),
        (
            'levels.{number}.blocks.{odd}.',
            'stages.{number}.blocks.{odd}.',
            ORIGINAL_BLOCK | KEYS_AND_VALUES,
        ),
        ('norm{number}.', 'norm{number}.', SAME),
        ('norm.', 'final_norm.', SAME),
        ('head.', 'head.fc.', SAME),
    ),
    ignored=r'relative_position_index$',
    short_name='original',
    compute_position_index=compute_position_index,
)

TIMM_FUSED_MBCONV = {
    'conv_dw.': 'conv.depthwise.',
    'se.fc1.': 'conv.squeeze_excite.squeeze.',
    'se.fc2.': 'conv.squeeze_excite.excite.',
    'conv_pw.': 'conv.pointwise.',
}
TIMM_DOWNSAMPLER = NORMS_AND_REDUCTION | {
    f'conv_block.{key}': local for key, local in TIMM_FUSED_MBCONV.items()
}
TIMM_BLOCK = SAME_IN_BLOCKS | {
    'attn.rel_pos.relative_position_bias_table': 'attn.position.relative_position_bias_table',
    'ls1.gamma': 'attn_residual.layer_scale.gamma',
    'ls2.gamma': 'mlp_residual.layer_scale.gamma',
}

TIMM = KeyMapping(
    name='timm',
    signature_key='stem.down.reduction.weight',
    rows=(
        ('stem.conv1.', 'stem.proj.', SAME),
        ('stem.down.', 'stem.downsample.', TIMM_DOWNSAMPLER),
        # In timm, a downsampler is part of the stage after it.
        *(
            (f'stages.{i + 1}.downsample.', f'downsamplers.{i}.', TIMM_DOWNSAMPLER)
            for i in range(3)
        ),
        *(
            (
                f'stages.{{number}}.global_block.blocks.conv{i + 1}.',
                f'{QUERY}{i}.',
                TIMM_FUSED_MBCONV,
            )
            for i in range(3)
        ),
        ('stages.{number}.blocks.{even}.', 'stages.{number}.blocks.{even}.', TIMM_BLOCK),
        (
            'stages.{number}.blocks.{odd}.',
            'stages.{number}.blocks.{odd}.',
            TIMM_BLOCK | KEYS_AND_VALUES,
        ),
        ('stages.3.norm.', 'final_norm.', SAME),
        ('head.fc.', 'head.fc.', SAME),
    ),
    ignored=r'relative_position_index$',
    short_name='timm',
    convs=r'squeeze_excite\.\w+\.weight$',
)

OWN = make_own_mapping(signature_key='stem.downsample.reduction.weight')

KEY_MAPPINGS = (ORIGINAL, TIMM, OWN)


def describe_shapes(tensors: Mapping[str, Tensor], num_stages: int | None) -> dict[str, Any]:
    """Return what the keys and shapes of weights show of the arch, for all or the first
    ``num_stages``.
    """
    blocks = count_blocks(tensors)
    stages = range(num_stages or NUM_STAGES)
    return {
        'embed_dims': get_shape(tensors, 'stem.proj.weight', 4)[0],
        'depths': tuple(blocks[i] for i in stages),
        'num_heads': tuple(
            get_shape(tensors, f'stages.{i}.blocks.0.attn.position.{BIAS_TABLE}', 2)[1]
            for i in stages
        ),
        'mlp_ratio': infer_mlp_ratio(tensors),
        'has_layer_scale': 'stages.0.blocks.0.attn_residual.layer_scale.gamma' in tensors,
    }


def make_arch(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the attributes of an arch whose weights have the keys and shapes of these.

    The initial value of layer scale, which weights do not show, is that of the published variants.
    """
    attributes = describe_shapes(tensors, None)
    published = ARCHS['small' if attributes.pop('has_layer_scale') else 'tiny']
    return attributes | {'layer_scale': published.layer_scale}
