"""Arguments are read in any type that configs and callers use; others are refused with what is allowed."""

from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
import torch

from mmgcvit.models.layers.arguments import (
    Variant,
    at_least,
    attribute,
    check_drop_path_rate,
    check_img_size,
    count_blocks,
    mlp_ratio,
    number,
    resolve_variant,
    resolve_windows,
    side,
    whole_number,
    whole_numbers,
)

from ..refusals import not_refused


@dataclass(frozen=True)
class Arch(Variant):
    """A variant of two attributes."""

    dims: int = attribute(*at_least(4))
    scale: float | None = attribute('a number, or None', number, default=None)


VARIANTS = {'small': Arch(4), 'large': Arch(8, 1)}
ANY = (TypeError, '')


def test_numbers_are_read_in_their_types():
    for value in (3, np.int64(3), np.uint8(3)):
        assert (whole_number(value), type(whole_number(value))) == (3, int)
    for values in ([1, 2], (1, np.int32(2)), np.array([1, 2])):
        assert whole_numbers(values) == (1, 2)
    for value in (1, 0.5, np.float32(2)):
        assert (number(value), type(number(value))) == (value, float)
    for rate in (0, 0.3, np.float64(0.999)):
        assert (check_drop_path_rate(rate), type(check_drop_path_rate(rate))) == (rate, float)
    for given, read in [(32, (32, 32)), ((32, 40), (32, 40)), ([np.int64(64), 32], (64, 32))]:
        assert check_img_size(given) == read


def test_nothing_else_is_a_number():
    assert not_refused(whole_number, [(value, *ANY) for value in (True, 3.0, '3', None)]) == []
    assert not_refused(whole_numbers, [(values, *ANY) for values in ('12', b'12', 12, [1, 2.0], [1, True])]) == []
    assert not_refused(number, [('1', TypeError, "'1' is no number")]) == []
    expected = r'^drop_path_rate is .*; expected '
    rates = [(1, ValueError), (-0.1, ValueError), (float('nan'), ValueError), ('0', TypeError)]
    assert not_refused(check_drop_path_rate, [(*rate, expected) for rate in rates]) == []
    sizes = [
        *((size, ValueError, 'at least 32 px on both sides') for size in (31, (64, 31))),
        *((size, TypeError, 'one whole number or a pair') for size in ((64,), (64, 64, 64), 64.0, '64')),
    ]
    cases = [(size, error, f'^pretrain_img_size is .*; expected .*{words}') for size, error, words in sizes]
    assert not_refused(check_img_size, cases) == []


@pytest.mark.parametrize('may_be_none', [False, True])
def test_windows_are_for_all_stages_or_for_each(may_be_none):
    for given, read in [
        (7, ((7, 7), (7, 7))),
        ((7, 1), ((7, 7), (1, 1))),
        (((7, 5), 3), ((7, 5), (3, 3))),
        ([[7, 5], [3, 4]], ((7, 5), (3, 4))),
    ]:
        assert resolve_windows(given, 2, may_be_none) == read
    cases = [
        ((7, 7, 7), ValueError, '3 entries'),
        (0, ValueError, r'a window \(0, 0\)'),
        (((7, 0), 7), ValueError, r'a window \(7, 0\)'),
        (((7, 7, 7), 7), ValueError, r'a window \(7, 7, 7\)'),
        (7.0, TypeError, 'and .*float'),
        ('77', TypeError, 'and '),
        (b'77', TypeError, 'and '),
        ((7, True), TypeError, 'True is no whole number'),
    ]
    words = '^window_size is .*{}.*; expected .*whole number of at least 1.* 2 of them'
    cases = [(given, error, words.format(what)) for given, error, what in cases]
    assert not_refused(lambda given: resolve_windows(given, 2, may_be_none), cases) == []


def test_a_window_of_none_is_the_whole_map_where_that_is_allowed():
    assert resolve_windows(None, 2, optional=True) == (None, None)
    assert resolve_windows((None, 7), 2, optional=True) == (None, (7, 7))
    with pytest.raises(TypeError, match=r'^window_size is None'):
        resolve_windows(None, 2)


def test_attributes_of_a_variant_are_read_in_their_types():
    assert (VARIANTS['large'].scale, type(VARIANTS['large'].scale)) == (1.0, float)
    assert VARIANTS['small'].scale is None
    assert type(Arch(np.int64(4)).dims) is int
    with pytest.raises(FrozenInstanceError):
        VARIANTS['small'].dims = 5
    cases = [
        ((3,), ValueError, '^arch: dims is 3; expected a whole number of at least 4$'),
        (('4',), ValueError, "^arch: dims is '4'; expected a whole number of at least 4$"),
        ((4, 'x'), ValueError, "^arch: scale is 'x'; expected a number, or None$"),
    ]
    assert not_refused(lambda values: Arch(*values), cases) == []


def test_an_arch_is_a_name_or_a_dict():
    assert resolve_variant('large', VARIANTS) is VARIANTS['large']
    assert resolve_variant({'dims': 8, 'scale': 1}, VARIANTS) == VARIANTS['large']
    assert resolve_variant({'dims': 4}, VARIANTS) == VARIANTS['small']
    keys = r"; the keys are \['dims', 'scale'\]$"
    cases = [
        (
            'Large',
            ValueError,
            r"^unknown arch 'Large'; choose one of 'small', 'large', or give a dict; is large meant\?$",
        ),
        ({}, ValueError, r"^arch: unknown keys \[\], missing keys \['dims'\]" + keys),
        ({'dims': 4, 'heads': 1, 3: 1}, ValueError, r"^arch: unknown keys \['3', 'heads'\], missing keys \[\]" + keys),
        *((arch, TypeError, '^arch must be a name or a dict, not ') for arch in (None, 4, ['small'])),
    ]
    assert not_refused(lambda arch: resolve_variant(arch, VARIANTS), cases) == []


def test_what_weights_show():
    """Blocks by stage; sides, 0 where there is none; the ratio of an MLP, which gives its channels again."""
    names = ['stages.0.blocks.0.a', 'stages.0.blocks.0.b', 'stages.0.blocks.11.a', 'stages.2.blocks.0.a', 'stages.0.x']
    assert count_blocks([*names, 'x']) == {0: 2, 2: 1}
    weights = {'w': torch.zeros(2, 3)}
    assert [side(weights, *where) for where in (('w', 0), ('w', 1), ('w', 2), ('other', 0))] == [2, 3, 0, 0]
    for hidden_dims in range(20, 41):
        fc1 = {'stages.0.blocks.0.mlp.fc1.weight': torch.zeros(hidden_dims, 10)}
        assert int(10 * mlp_ratio(fc1)) == hidden_dims
    assert mlp_ratio({}) == 0
