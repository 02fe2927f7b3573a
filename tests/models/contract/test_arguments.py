"""Bad arguments and images are rejected with what is allowed.

Modules: `mmgcvit/models/layers/arguments.py`, `mmgcvit/models/base.py`.
"""

import re
from dataclasses import FrozenInstanceError

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmgcvit import LSA, GCViT
from mmgcvit.models.gcvit.archs import GCViTArch
from mmgcvit.models.lsa import LSAArch
from mmgcvit.models.lsa.archs import SHIFT_MODES

from .backbones import GCVIT, LSA_ARCH, small_gcvit, small_lsa

WINDOWS = 'window_size is .*each of the 4'
SHIFTS = r'shifts is .* None, or at least two pairs'
# Arguments of both backbones: (name, value, words of the message).
BOTH = [
    ('out_indices', (0, 4), 'between 0 and 3, each once'),
    ('out_indices', (2, 1), 'between 0 and 3, each once'),
    ('out_indices', (), 'between 0 and 3, each once'),
    ('out_indices', 3, 'between 0 and 3, each once'),
    ('frozen_stages', 5, 'frozen_stages is 5.*up to 4'),
    ('frozen_stages', -2, 'frozen_stages is -2.*up to 4'),
    ('frozen_stages', True, 'frozen_stages is True.*up to 4'),
    ('in_channels', 0, 'in_channels is 0; expected an int of at least 1'),
    ('in_channels', True, 'in_channels is True; expected an int of at least 1'),
    ('in_channels', 3.0, r'in_channels is 3\.0; expected an int of at least 1'),
    ('lora_rank', 0.5, 'lora_rank is 0.5; expected 0 .* or an int of at least 1'),
    ('lora_rank', -1, 'lora_rank is -1; expected 0'),
    ('lora_rank', True, 'lora_rank is True; expected 0'),
    ('arch', 'huge', "unknown arch 'huge'; choose one of .*tiny"),
    ('arch', {'embed_dims': 8}, "missing .*'depths'"),
    ('arch.heads', 3, "unexpected keyword argument 'heads'"),
    ('arch.depths', (2, 2), 'depths is .*a list of 4 ints of at least 1'),
    ('arch.depths', (2, 2, 0, 2), 'depths is .*a list of 4 ints of at least 1'),
    ('arch.num_heads', (2, 4, True, 8), 'num_heads is .*a list of 4 ints of at least 1'),
    ('arch.mlp_ratio', 0, 'mlp_ratio is 0; expected a positive number'),
    ('arch.mlp_ratio', -2, 'mlp_ratio is -2; expected a positive number'),
    ('arch.mlp_ratio', True, 'mlp_ratio is True; expected a positive number'),
    ('arch.mlp_ratio', '4', "mlp_ratio is '4'; expected a positive number"),
    ('arch.mlp_ratio', float('nan'), 'mlp_ratio is nan; expected a positive number'),
    ('arch.mlp_ratio', float('inf'), 'mlp_ratio is inf; expected a positive number'),
    ('arch.mlp_ratio', 0.06, r'mlp_ratio is 0\.06; .* at least one channel of 16'),
    ('arch.num_heads', (3, 2, 4, 8), r'num_heads\[0\] is 3; expected a divisor of 16'),
    ('arch.drop_path_rate', 'x', "drop_path_rate is 'x'; expected a number"),
    ('arch.drop_path_rate', False, 'drop_path_rate is False; expected a number'),
    ('window_size', (7, 7, 14), WINDOWS),
    ('window_size', 7.0, WINDOWS),
    ('pretrain_img_size', 31, 'pretrain_img_size is 31; expected at least 32 px'),
    ('drop_path_rate', 1, 'drop_path_rate is 1; expected .*less than 1'),
    ('with_cp', 'False', "with_cp is 'False'; expected True or False"),
]
GCVITS = [
    ('arch', 'Large', 'did you mean large'),
    ('arch', ['tiny'], "unknown arch .*'tiny'"),
    ('window_size', (7, 7, None, 7), WINDOWS),
    ('window_size', None, WINDOWS),
    ('arch.poolings', (3, 2, 0), 'poolings is .*a list of 4 ints of at least 0, or None'),
    ('arch.poolings', (3, 2, -1, 0), 'poolings is .*a list of 4 ints of at least 0, or None'),
    ('arch.embed_dims', 3, 'embed_dims is 3; expected an int of at least 4'),
    ('arch.embed_dims', True, 'embed_dims is True; expected an int of at least 4'),
    ('arch.embed_dims', 16.0, r'embed_dims is 16\.0; expected an int of at least 4'),
    ('arch.layer_scale', True, r'layer_scale is True; expected None .* or a number'),
    ('arch.layer_scale', float('nan'), r'layer_scale is nan; expected None .* or a number'),
]
LSAS = [
    ('arch.num_kv_heads', (2, 3, 4, 8), r'num_kv_heads\[1\] is 3; expected a divisor of 4'),
    ('arch.embed_dims', 16, 'embed_dims is 16; expected a list of ints of at least 1'),
    ('arch.embed_dims', (), r'embed_dims is \(\); expected a list of ints of at least 1'),
    ('arch.embed_dims', (0, 32, 48, 64), 'embed_dims is .*a list of 4 ints of at least 1'),
    ('arch.num_kv_heads', 0, 'num_kv_heads is 0; expected a list of 4 ints of at least 1'),
    ('arch.kernel_size', 0, 'kernel_size is 0; expected an int of at least 1'),
    ('arch.stride', True, 'stride is True; expected an int of at least 1'),
    ('arch.padding', -1, 'padding is -1; expected an int of at least 0'),
    ('arch.img_size', 16, '^img_size is 16; expected at least 32 px'),
    ('arch.img_size', 'x', "^img_size is 'x'; expected at least 32 px"),
    ('arch.shared_conv', 'no', "shared_conv is 'no'; expected True or False"),
    ('arch.shifts', ((0, 0),), SHIFTS),
    ('arch.shifts', ((1, 0), (0, 0)), SHIFTS),
    ('arch.shifts', 3, SHIFTS),
    ('arch.shifts', ((0, 0), (1,)), SHIFTS),
    ('arch.shifts', ((0, 0), (1, -32)), SHIFTS + r'.* of less than 32 px'),
    ('arch.shifts', ((0, 0), (32, 1)), SHIFTS + r'.* of less than 32 px'),
    ('arch.shift_mode', 'wrap', "shift_mode is 'wrap'; expected one of circular"),
]


@pytest.mark.parametrize(
    ('network', 'arch', 'rows'),
    [(GCViT, GCVIT, BOTH + GCVITS), (LSA, LSA_ARCH, BOTH + LSAS)],
)
def test_bad_arguments_are_rejected_with_what_is_allowed(network, arch, rows):
    for name, value, words in rows:
        name, _, attribute = name.partition('.')
        if attribute:
            value = {**arch, attribute: value}
        with pytest.raises((ValueError, TypeError), match=words):
            network(**{'arch': arch, name: value})


@pytest.mark.parametrize('mode', SHIFT_MODES)
def test_the_smallest_images_are_larger_than_the_largest_shifts(mode):
    backbone = small_lsa({'shifts': ((0, 0), (31, -31)), 'shift_mode': mode})
    assert backbone(torch.zeros(1, 3, 32, 32))[0].isfinite().all()


NOT_POSITIVE_INTS = (
    st.integers(max_value=0) | st.booleans() | st.floats() | st.text() | st.binary() | st.tuples()
)


@given(
    name=st.sampled_from(['embed_dims', 'depths', 'num_heads', 'num_kv_heads']),
    stage=st.integers(0, 3),
    value=NOT_POSITIVE_INTS,
)
def test_numbers_of_a_stage_that_are_not_positive_ints_are_named(name, stage, value):
    values = [1, 1, 1, 1]
    values[stage] = value
    with pytest.raises(ValueError, match=f'^{name} is .*; expected a list of 4 ints'):
        LSAArch(**{**LSA_ARCH, name: values})
    if name in ('depths', 'num_heads'):
        with pytest.raises(ValueError, match=f'^{name} is .*; expected a list of 4 ints'):
            GCViTArch(**{**GCVIT, name: values})


@given(value=NOT_POSITIVE_INTS)
def test_single_numbers_that_are_not_positive_ints_are_named(value):
    for name in ('kernel_size', 'stride'):
        with pytest.raises(ValueError, match=f'^{name} is .*; expected an int of at least 1'):
            LSAArch(**{**LSA_ARCH, name: value})
    with pytest.raises(ValueError, match=r'^embed_dims is .*; expected an int of at least 4'):
        GCViTArch(**{**GCVIT, 'embed_dims': value})
    for build in (small_gcvit, small_lsa):
        with pytest.raises(ValueError, match=r'^in_channels is .*; expected an int of at least 1'):
            build(in_channels=value)


@pytest.mark.parametrize(
    ('name', 'value'), [('drop_path_rate', 5), ('drop_path_rate', 'x'), ('img_size', 'x')]
)
def test_numbers_of_an_arch_are_checked_also_if_an_argument_replaces_them(name, value):
    """``drop_path_rate`` and ``pretrain_img_size`` of the backbone take their places."""
    with pytest.raises(ValueError, match=f'^{name} is {value!r}'):
        LSA({**LSA_ARCH, name: value}, pretrain_img_size=224, drop_path_rate=0.1)
    if name in GCVIT:
        with pytest.raises(ValueError, match=f'^{name} is {value!r}'):
            GCViT({**GCVIT, name: value}, drop_path_rate=0.1)


@pytest.mark.parametrize('arch', [GCViT.archs['tiny'], LSA.archs['cifar-tiny']])
def test_an_arch_that_all_models_share_cannot_be_changed(arch):
    with pytest.raises(FrozenInstanceError):
        arch.depths = (1, 1, 1, 1)


@pytest.mark.parametrize('build', [small_gcvit, small_lsa])
def test_bad_images_are_rejected_with_what_is_allowed(build):
    model = build()
    for shape in [(3, 64, 64), (1, 4, 64, 64), (1, 3, 31, 64), (1, 3, 64, 31)]:
        words = rf'{re.escape(str(shape))} .*expected floats \(B, 3.*at least 32'
        with pytest.raises(ValueError, match=words):
            model(torch.rand(shape))
    with pytest.raises(ValueError, match=r'torch\.uint8; expected floats'):
        model(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
