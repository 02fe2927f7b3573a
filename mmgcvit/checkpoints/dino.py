"""Translate the keys of NVIDIA TAO's detectors, DINO with GC ViT, to mmdet's, and infer the config
from the shapes.

TAO's transformer and heads have the keys of DINO's original code (IDEA's), its backbone those of
the original GC ViT.
"""

import re
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from ..errors import CheckpointError
from .grids import BACKBONE, infer_window_side
from .translating import BIAS_TABLE, SAME, KeyMapping, Row, StateDict, get_shape, translate
from .weights import Weights, list_key_mappings

SIGNATURE_KEY = 'transformer.decoder.ref_point_head.layers.0.weight'
TAO_BACKBONE = 'backbone.0.body.'
ADVICE = 'Use a detector that TAO has trained with its default settings of DINO'
NUM_COCO_IDS = 91
# 91 classes are COCO's category ids. mmdet has the 80 that COCO uses, in this order.
COCO_IDS = sorted({*range(1, 91)} - {12, 26, 29, 30, 45, 66, 68, 69, 71, 83})

FFN = {'linear1.': 'ffn.layers.0.0.', 'linear2.': 'ffn.layers.1.'}
ENCODER_LAYER = FFN | {'self_attn.': 'self_attn.', 'norm1.': 'norms.0.', 'norm2.': 'norms.1.'}
DECODER_LAYER = FFN | {
    'self_attn.': 'self_attn.attn.',
    'cross_attn.': 'cross_attn.',
    # mmdet numbers the norms in the order in which they are applied.
    'norm2.': 'norms.0.',
    'norm1.': 'norms.1.',
    'norm3.': 'norms.2.',
}
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
    'model.num_queries': 'query_embedding.weight',
    'model.bbox_head.num_classes': 'bbox_head.cls_branches.0.bias',
    'model.encoder.layer_cfg.ffn_cfg.feedforward_channels': 'encoder.layers.0.ffn.layers.0.0.bias',
    'model.decoder.layer_cfg.ffn_cfg.feedforward_channels': 'decoder.layers.0.ffn.layers.0.0.bias',
}
NUMBERS_OF_LEVELS = (
    'model.num_feature_levels',
    'model.neck.num_outs',
    'model.encoder.layer_cfg.self_attn_cfg.num_levels',
    'model.decoder.layer_cfg.cross_attn_cfg.num_levels',
)
# The decoder has the same heads a second time.
IGNORED = re.compile(r'transformer\.decoder\.(class|bbox)_embed\.|.*relative_position_index$')


def translate_dino(state_dict: StateDict, source: str) -> StateDict | None:
    """Return the weights of TAO's DINO with GC ViT with the keys of mmdet's. Return None for
    weights of other models.

    Of 91 classes, COCO's 80 remain. Raise a CheckpointError if mmdet's DINO lacks modules of the
    file's.
    """
    found = find_dino(state_dict)
    if found is None:
        return None
    prefix, mapping = found
    external = {
        name.removeprefix(prefix): tensor
        for name, tensor in state_dict.items()
        if name.startswith(prefix)
    }
    num_layers = count_modules(external, 'transformer.decoder.layers.')
    rows = [*ROWS, *make_neck_rows(external)]
    for external_prefix, local_prefix, parts in mapping.rows:
        rows.append((TAO_BACKBONE + external_prefix, BACKBONE + local_prefix, parts))
    tensors = {}
    for name, tensor in external.items():
        # In mmdet the encoder's heads follow those of the decoder's layers.
        key = re.sub(r'^transformer\.enc_out_(\w+)\.', rf'\1.{num_layers}.', name)
        local_key = translate(key, rows)
        if local_key is not None:
            tensors[local_key] = select_classes(local_key, tensor)
        elif not IGNORED.match(name):
            raise CheckpointError(f"{source}: mmdet's DINO has no key for {name}. {ADVICE}")
    return tensors


def list_dino_classes(state_dict: StateDict) -> list[str] | None:
    """Return the names of COCO's 80 classes if a state dict is that of TAO's DINO with 91, or None.

    TAO's files have no names.
    """
    found = find_dino(state_dict)
    if found is None or len(state_dict.get(f'{found[0]}class_embed.0.bias', ())) != NUM_COCO_IDS:
        return None
    from mmdet.datasets import CocoDataset  # takes seconds, and only these files need it

    return list(CocoDataset.METAINFO['classes'])


def find_dino(state_dict: StateDict) -> tuple[str, KeyMapping] | None:
    """Return the prefix of a DINO's keys and the key mapping of its backbone, or None."""
    for _, mapping in list_key_mappings():
        for name in state_dict:
            prefix = name.removesuffix(TAO_BACKBONE + mapping.signature_key)
            if prefix != name and prefix + SIGNATURE_KEY in state_dict:
                return prefix, mapping
    return None


def make_neck_rows(external: StateDict) -> Iterator[Row]:
    """Yield the rows of the neck, whose convolutions TAO numbers together.

    Projections of the backbone's maps are 1 x 1 convolutions. The levels below have 3 x 3
    convolutions.
    """
    num_maps = 0
    for name, tensor in external.items():
        num_maps += name.startswith('input_proj.') and tensor.shape[2:] == (1, 1)
    for level in range(count_modules(external, 'input_proj.')):
        local_prefix = f'neck.convs.{level}.'
        if level >= num_maps:
            local_prefix = f'neck.extra_convs.{level - num_maps}.'
        yield f'input_proj.{level}.', local_prefix, PROJECTION


def select_classes(local_key: str, tensor: Tensor) -> Tensor:
    """Return a classifier's or label embedding's rows of COCO's 80 classes, and other tensors."""
    if not re.search('cls_branches|label_embedding', local_key) or not tensor.ndim:
        return tensor
    if 'label_embedding' in local_key:
        tensor = tensor[:-1]  # the last embedding is of no class
    return tensor[COCO_IDS] if len(tensor) == NUM_COCO_IDS else tensor


def infer_dino_settings(tensors: StateDict, weights: Weights) -> dict[str, Any]:
    """Infer the settings of the model with these tensors, to merge into dino_gcvit_t_12e.py.

    ``weights`` are those of its backbone. It has 8 heads and 4 points. Raise an ArchError if a
    tensor that decides a setting is missing or has an impossible shape.
    """
    backbone = weights.tensors
    arch = weights.network.infer_arch(backbone)
    stages = range(len(arch.attributes['depths']))
    windows = tuple(
        infer_window_side(backbone[f'stages.{stage}.blocks.0.attn.position.{BIAS_TABLE}'])
        for stage in stages
    )
    num_convs = count_modules(tensors, 'neck.convs.')
    num_levels = num_convs + count_modules(tensors, 'neck.extra_convs.')
    settings = {setting: get_shape(tensors, name)[0] for setting, name in LENGTHS.items()}
    settings |= dict.fromkeys(NUMBERS_OF_LEVELS, num_levels)
    num_detections = settings['model.num_queries'] * settings['model.bbox_head.num_classes']
    return settings | {
        'model.encoder.num_layers': count_modules(tensors, 'encoder.layers.'),
        'model.decoder.num_layers': count_modules(tensors, 'decoder.layers.'),
        'model.neck.in_channels': [
            get_shape(tensors, f'neck.convs.{level}.conv.weight', 4)[1]
            for level in range(num_convs)
        ],
        'model.neck.bias': True,
        'model.test_cfg.max_per_img': min(300, num_detections),
        'model.data_preprocessor.pad_size_divisor': 1,  # as in TAO
        'model.backbone': {
            '_delete_': True,
            'type': f'mmgcvit.{weights.network.__name__}',
            'arch': arch.names[0] if arch.names else weights.network.make_arch(backbone),
            'window_size': windows,
            'pretrain_img_size': 32 * windows[-1],
            'drop_path_rate': 0.2,
            'out_indices': tuple(stage for stage in stages if f'norm{stage}.weight' in backbone),
        },
    }


def count_modules(tensors: StateDict, prefix: str) -> int:
    """Return how many modules ``prefix0``, ``prefix1``, ... have tensors."""
    depth = prefix.count('.')
    return len({name.split('.')[depth] for name in tensors if name.startswith(prefix)})
