"""Key layout of the GC ViT checkpoints that the paper's authors released, against this package's.

The tables name every tensor of a released backbone once; values are the same in both layouts, only names differ.
"""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

SAME = {'': ''}
FUSED_MBCONV = {
    'conv.0.': 'conv.depthwise.',
    'conv.2.fc.0.': 'conv.squeeze_excite.squeeze.',
    'conv.2.fc.2.': 'conv.squeeze_excite.excite.',
    'conv.3.': 'conv.pointwise.',
}
DOWNSAMPLER = FUSED_MBCONV | {
    'norm1.': 'norm_in.',
    'reduction.': 'reduction.',
    'norm2.': 'norm_out.',
}
BLOCK = {
    'norm1.': 'norm1.',
    'attn.relative_position_bias_table': 'attn.position.relative_position_bias_table',
    'attn.proj.': 'attn.proj.',
    'gamma1': 'attn_residual.layer_scale.gamma',
    'norm2.': 'norm2.',
    'mlp.': 'mlp.',
    'gamma2': 'mlp_residual.layer_scale.gamma',
}
LOCAL_BLOCK = BLOCK | {'attn.qkv.': 'attn.qkv.'}
GLOBAL_BLOCK = BLOCK | {'attn.qkv.': 'attn.kv.'}

# (module in the original, module here, names inside it)
LAYOUT = (
    ('patch_embed.proj.', 'stem.proj.', SAME),
    ('patch_embed.conv_down.', 'stem.downsample.', DOWNSAMPLER),
    ('levels.{number}.downsample.', 'downsamplers.{number}.', DOWNSAMPLER),
    (
        'levels.{number}.q_global_gen.to_q_global.{number}.',
        'stages.{number}.global_query.extractors.{number}.',
        FUSED_MBCONV,
    ),
    ('levels.{number}.blocks.{even}.', 'stages.{number}.blocks.{even}.', LOCAL_BLOCK),
    ('levels.{number}.blocks.{odd}.', 'stages.{number}.blocks.{odd}.', GLOBAL_BLOCK),
    ('norm{number}.', 'norm{number}.', SAME),
)
DIGITS = {'number': r'\d+', 'even': r'\d*[02468]', 'odd': r'\d*[13579]'}


def from_original_gcvit(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of an original GC ViT backbone to this package's names.

    Raises:
        KeyError: A name is not of the original layout.
    """
    return {name_here(name): tensor for name, tensor in state_dict.items()}


def name_here(name: str) -> str:
    """The name here of a tensor of the original layout; see :func:`from_original_gcvit`."""
    for theirs, ours, parts in LAYOUT:
        module = module_pattern(theirs).match(name)
        if module:
            inside = name[module.end() :]
            for their_part, our_part in parts.items():
                if inside.startswith(their_part):
                    return fill_numbers(ours, module.groups()) + our_part + inside[len(their_part) :]
    raise KeyError(f'{name} is no tensor of an original GC ViT backbone')


def module_pattern(module: str) -> re.Pattern[str]:
    """What finds a module of the layout, its numbers as groups."""
    return re.compile(re.sub(r'\\\{(\w+)\\\}', lambda kind: f'({DIGITS[kind[1]]})', re.escape(module)))


def fill_numbers(module: str, numbers: Iterable[str]) -> str:
    """Put numbers into the places of a module's name, in their order."""
    for number in numbers:
        module = re.sub(r'\{\w+\}', number, module, count=1)
    return module
