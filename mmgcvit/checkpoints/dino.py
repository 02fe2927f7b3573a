"""Read detectors of NVIDIA TAO, DINO with GC ViT: translate the keys to mmdet's, and infer the
config from the shapes.

TAO's transformer and heads have the keys of DINO's original code (IDEA's), its backbone those of
the original GC ViT.
"""

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

from torch import Tensor

from ..errors import CheckpointError, format_count, shorten
from .translating import SAME, translate
from .weights import BIAS_TABLE, Network, list_key_mappings

SIGNATURE_KEY = 'transformer.decoder.ref_point_head.layers.0.weight'
BACKBONE = 'backbone.0.body.'
ADVICE = 'Use a detector that TAO has trained with its default settings of DINO'
# 91 classes are COCO's category ids. mmdet has the 80 that COCO uses, in this order.
COCO_IDS = sorted({*range(1, 91)} - {12, 26, 29, 30, 45, 66, 68, 69, 71, 83})

FFN = {'linear1.': 'ffn.layers.0.0.', 'linear2.': 'ffn.layers.1.'}
ENCODER_LAYER = FFN | {'self_attn.': 'self_attn.', 'norm1.': 'norms.0.', 'norm2.': 'norms.1.'}
# mmdet numbers the norms in the order in which they are applied.
DECODER_NORMS = {'norm2.': 'norms.0.', 'norm1.': 'norms.1.', 'norm3.': 'norms.2.'}
DECODER_LAYER = (
    FFN | DECODER_NORMS | {'self_attn.': 'self_attn.attn.', 'cross_attn.': 'cross_attn.'}
)
BOX_MLP = {'layers.0.': '0.', 'layers.1.': '2.', 'layers.2.': '4.'}
PROJECTION = {'0.': 'conv.', '1.': 'gn.'}
# Rows as those of KeyMapping.
ROWS = (
    ('transformer.level_embed', 'level_embed', SAME),
    ('transformer.encoder.layers.{number}.', 'encoder.layers.{number}.', ENCODER_LAYER),
    ('transformer.decoder.layers.{number}.', 'decoder.layers.{number}.', DECODER_LAYER),
    ('transformer.decoder.norm.', 'decoder.norm.', SAME),
    ('transformer.decoder.ref_point_head.', 'decoder.ref_point_head.', SAME),
    ('transformer.tgt_embed.', 'query_embedding.', SAME),
    ('transformer.enc_output.', 'memory_trans_fc.', SAME),
    ('transformer.enc_output_norm.', 'memory_trans_norm.', SAME),
    ('label_enc.', 'dn_query_generator.label_embedding.', SAME),
    ('class_embed.{number}.', 'bbox_head.cls_branches.{number}.', SAME),
    ('bbox_embed.{number}.', 'bbox_head.reg_branches.{number}.', BOX_MLP),
)
# Settings of the model that are the length of a tensor.
LENGTHS = {
    'num_queries': 'query_embedding.weight',
    'bbox_head.num_classes': 'bbox_head.cls_branches.0.bias',
    'encoder.layer_cfg.ffn_cfg.feedforward_channels': 'encoder.layers.0.ffn.layers.0.0.bias',
    'decoder.layer_cfg.ffn_cfg.feedforward_channels': 'decoder.layers.0.ffn.layers.0.0.bias',
}
ATTENTIONS = ('encoder.layer_cfg.self_attn_cfg', 'decoder.layer_cfg.cross_attn_cfg')
NUMBERS_OF_LEVELS = (
    'num_feature_levels',
    'neck.num_outs',
    *(f'{name}.num_levels' for name in ATTENTIONS),
)
# The decoder has the same heads a second time.
IGNORED = re.compile(r'transformer\.decoder\.(class|bbox)_embed\.|.*relative_position_index$')


def translate_dino(state_dict: Mapping[str, Tensor], source: str) -> dict[str, Tensor] | None:
    """Return the weights of TAO's DINO with GC ViT with the keys of mmdet's. Return None for
    weights of other models.

    Of 91 classes, COCO's 80 remain. Raise a CheckpointError if mmdet's DINO lacks modules of the
    file's.
    """
    prefixes = [
        name.removesuffix(SIGNATURE_KEY) for name in state_dict if name.endswith(SIGNATURE_KEY)
    ]
    mappings = [mapping for _, mapping in list_key_mappings()]
    found = [
        (x, y)
        for x in prefixes
        for y in mappings
        if f'{x}{BACKBONE}{y.signature_key}' in state_dict
    ]
    if len(found) != 1:
        return None
    ((prefix, mapping),) = found
    external = {
        name.removeprefix(prefix): x for name, x in state_dict.items() if name.startswith(prefix)
    }
    num_layers = count_modules(external, 'transformer.decoder.layers.')
    # Projections of the backbone's maps are 1 x 1 convolutions. The levels below have 3 x 3
    # convolutions.
    num_maps = sum(
        name.startswith('input_proj.') and x.shape[2:] == (1, 1) for name, x in external.items()
    )
    levels = (
        f'neck.convs.{i}.' if i < num_maps else f'neck.extra_convs.{i - num_maps}.'
        for i in range(num_maps + 9)
    )
    rows = (*ROWS, *((f'input_proj.{i}.', level, PROJECTION) for i, level in enumerate(levels)))
    tensors, unmapped = {}, []
    for name, tensor in external.items():
        # In mmdet the encoder's heads follow those of the decoder's layers.
        key = re.sub(r'^transformer\.enc_out_(\w+)\.', rf'\1.{num_layers}.', name)
        local_key = translate(key, rows)
        if name.startswith(BACKBONE) and (
            backbone_key := mapping.to_local_key(name.removeprefix(BACKBONE))
        ):
            local_key, tensor = (
                f'backbone.{backbone_key}',
                mapping.to_local_shape(backbone_key, tensor),
            )
        if local_key is None:
            unmapped += [] if IGNORED.match(name) else [name]
            continue
        if tensor.ndim and ('cls_branches' in local_key or 'label_embedding' in local_key):
            num_classes = len(tensor) - (
                'label_embedding' in local_key
            )  # the last embedding is of no class
            tensor = tensor[COCO_IDS if num_classes == 91 else slice(num_classes)]
        tensors[local_key] = tensor
    if unmapped:
        count = format_count(len(unmapped), 'tensor')
        raise CheckpointError(
            f"{source}: mmdet's DINO has no keys for {count} ({shorten(unmapped)}). {ADVICE}"
        )
    return tensors


def infer_dino_settings(tensors: Mapping[str, Tensor], network: Network) -> dict[str, Any]:
    """Infer the settings of these weights' model, to merge into dino_gcvit_t_12e.py.

    It has 8 heads and 4 points.
    """
    backbone = {
        name.removeprefix('backbone.'): x
        for name, x in tensors.items()
        if name.startswith('backbone.')
    }
    arch = network.infer_arch(backbone)
    stages = range(len(arch.attributes['depths']))
    # A window of side w has a table of (2w - 1)**2 rows.
    tables = [backbone[f'stages.{stage}.blocks.0.attn.position.{BIAS_TABLE}'] for stage in stages]
    windows = tuple(isqrt(len(table)) // 2 + 1 for table in tables)
    settings = {setting: len(tensors[name]) for setting, name in LENGTHS.items()}
    convs = [
        tensors[f'neck.convs.{i}.conv.weight'] for i in range(count_modules(tensors, 'neck.convs.'))
    ]
    num_levels = len(convs) + count_modules(tensors, 'neck.extra_convs.')
    settings |= dict.fromkeys(NUMBERS_OF_LEVELS, num_levels)
    settings |= {
        f'{part}.num_layers': count_modules(tensors, f'{part}.layers.')
        for part in ('encoder', 'decoder')
    }
    settings |= {
        'neck.in_channels': [conv.shape[1] for conv in convs],
        'neck.bias': True,
        'test_cfg.max_per_img': min(
            300, settings['num_queries'] * settings['bbox_head.num_classes']
        ),
        'data_preprocessor.pad_size_divisor': 1,  # as in TAO
        'backbone': {
            '_delete_': True,
            'type': f'mmgcvit.{network.__name__}',
            'arch': arch.names[0] if arch.names else arch.attributes,
            'window_size': windows,
            'pretrain_img_size': 32 * windows[-1],
            'drop_path_rate': 0.2,
            'out_indices': tuple(stage for stage in stages if f'norm{stage}.weight' in backbone),
        },
    }
    return {f'model.{name}': value for name, value in settings.items()}


def count_modules(tensors: Mapping[str, Tensor], prefix: str) -> int:
    """Return how many modules ``prefix0``, ``prefix1``, ... have tensors."""
    return len(
        {name.removeprefix(prefix).split('.')[0] for name in tensors if name.startswith(prefix)}
    )
