"""How an ``arch`` is read: by name, from a dict, or from weights."""

from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
import torch

from mmgcvit.models.layers.arguments import (
    MLP_RATIO,
    Variant,
    attribute,
    count_blocks,
    mlp_ratio,
    number,
    optional,
    resolve_variant,
    side,
    where,
    whole_number,
)


@dataclass(frozen=True)
class Arch(Variant):
    """A variant of two attributes."""

    dims: int = attribute(where(whole_number, lambda dims: dims >= 4), 'a whole number of at least 4')
    scale: float | None = attribute(optional(number), 'a number, or None', default=None)


VARIANTS = {'small': Arch(4), 'large': Arch(8, 1)}
FC1 = 'stages.0.blocks.0.mlp.fc1.weight'


def test_attributes_are_read_in_their_types():
    assert (VARIANTS['large'].scale, type(VARIANTS['large'].scale)) == (1.0, float)
    assert VARIANTS['small'].scale is None
    assert type(Arch(np.int64(4)).dims) is int
    with pytest.raises(FrozenInstanceError):
        VARIANTS['small'].dims = 5


@pytest.mark.parametrize(
    ('values', 'words'),
    [
        ((3,), 'dims is 3; expected a whole number of at least 4'),
        (('4',), "dims is '4'; expected a whole number of at least 4"),
        ((4, 'x'), "scale is 'x'; expected a number, or None"),
    ],
)
def test_other_values_are_refused_with_what_is_allowed(values, words):
    with pytest.raises(ValueError, match=f'^arch: {words}$'):
        Arch(*values)


def test_a_name_is_one_of_the_variants():
    assert resolve_variant('large', VARIANTS) is VARIANTS['large']
    with pytest.raises(ValueError, match=r"^unknown arch 'Large'; choose one of 'small', 'large', or give a dict$"):
        resolve_variant('Large', VARIANTS)


def test_a_dict_describes_a_variant():
    assert resolve_variant({'dims': 8, 'scale': 1}, VARIANTS) == VARIANTS['large']
    assert resolve_variant({'dims': 4}, VARIANTS) == VARIANTS['small']


@pytest.mark.parametrize(
    ('arch', 'words'),
    [
        ({}, r"unknown keys \[\], missing keys \['dims'\]"),
        ({'dims': 4, 'heads': 1, 3: 1}, r"unknown keys \['3', 'heads'\], missing keys \[\]"),
    ],
)
def test_keys_too_few_and_too_many_are_named(arch, words):
    with pytest.raises(ValueError, match=rf"^arch: {words}; the keys are \['dims', 'scale'\]$"):
        resolve_variant(arch, VARIANTS)


@pytest.mark.parametrize('arch', [None, 4, ['small']], ids=repr)
def test_nothing_else_is_an_arch(arch):
    with pytest.raises(TypeError, match=r'^arch must be a name or a dict, not '):
        resolve_variant(arch, VARIANTS)


def test_a_variant_says_itself_what_weights_show():
    for question in (Variant.seen_in, Variant.in_words):
        with pytest.raises(NotImplementedError):
            question({})


def test_blocks_are_counted_by_stage():
    names = [
        'stages.0.blocks.0.a',
        'stages.0.blocks.0.b',
        'stages.0.blocks.11.a',
        'stages.2.blocks.0.a',
        'stages.0.x',
        'x',
    ]
    assert count_blocks(names) == {0: 2, 2: 1}
    assert count_blocks(names)[1] == 0


@pytest.mark.parametrize(('name', 'dim', 'size'), [('w', 0, 2), ('w', 1, 3), ('w', 2, 0), ('other', 0, 0)])
def test_sides_that_are_not_there_are_0(name, dim, size):
    assert side({'w': torch.zeros(2, 3)}, name, dim) == size


@pytest.mark.parametrize('hidden_dims', range(20, 41))
def test_the_ratio_of_an_mlp_gives_its_channels_again(hidden_dims):
    assert int(10 * mlp_ratio({FC1: torch.zeros(hidden_dims, 10)})) == hidden_dims


def test_without_an_mlp_its_ratio_is_0():
    assert mlp_ratio({}) == 0


def test_ratios_from_a_tenth_on_are_read():
    read, _ = MLP_RATIO
    assert read(0.1) == 0.1
    with pytest.raises(ValueError, match=r'^0\.09$'):
        read(0.09)
