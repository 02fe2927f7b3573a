"""Arguments are read in any type that configs and callers use; others are refused with what is allowed."""

from functools import partial

import numpy as np
import pytest

from mmgcvit.models.layers import arguments


@pytest.mark.parametrize('value', [3, np.int64(3), np.uint8(3)], ids=repr)
def test_whole_numbers_are_read(value):
    read = arguments.whole_number(value)
    assert (read, type(read)) == (3, int)


@pytest.mark.parametrize('value', [True, 3.0, '3', None], ids=repr)
def test_nothing_else_is_a_whole_number(value):
    with pytest.raises(TypeError):
        arguments.whole_number(value)


@pytest.mark.parametrize('values', ['12', b'12', 12, [1, 2.0], [1, True]], ids=repr)
def test_nothing_else_is_a_sequence_of_them(values):
    with pytest.raises(TypeError):
        arguments.whole_numbers(values)


@pytest.mark.parametrize('values', [[1, 2], (1, np.int32(2)), np.array([1, 2])], ids=repr)
def test_sequences_of_them_are_read(values):
    assert arguments.whole_numbers(values) == (1, 2)


def test_numbers_are_floats():
    assert [type(arguments.number(value)) for value in (1, 0.5, np.float32(2))] == [float] * 3
    with pytest.raises(TypeError, match="'1' is no number"):
        arguments.number('1')


@pytest.mark.parametrize('rate', [0, 0.3, np.float64(0.999)], ids=repr)
def test_drop_path_rates_are_from_0_to_less_than_1(rate):
    read = arguments.check_drop_path_rate(rate)
    assert (read, type(read)) == (rate, float)


@pytest.mark.parametrize(
    ('rate', 'error'), [(1, ValueError), (-0.1, ValueError), (float('nan'), ValueError), ('0', TypeError)]
)
def test_other_drop_path_rates_are_refused(rate, error):
    with pytest.raises(error, match=r'^drop_path_rate is .*; expected '):
        arguments.check_drop_path_rate(rate)


@pytest.mark.parametrize(('given', 'read'), [(32, (32, 32)), ((32, 40), (32, 40)), ([np.int64(64), 32], (64, 32))])
def test_image_sizes_are_a_side_or_a_pair(given, read):
    assert arguments.check_img_size('img_size', given) == read


@pytest.mark.parametrize(
    ('given', 'error', 'words'),
    [
        (31, ValueError, 'at least 32 px on both sides'),
        ((64, 31), ValueError, 'at least 32 px on both sides'),
        ((64,), TypeError, 'one whole number or a pair'),
        ((64, 64, 64), TypeError, 'one whole number or a pair'),
        (64.0, TypeError, 'one whole number or a pair'),
        ('64', TypeError, 'one whole number or a pair'),
    ],
)
def test_other_image_sizes_are_refused(given, error, words):
    with pytest.raises(error, match=f'^pretrain_img_size is .*; expected .*{words}'):
        arguments.check_img_size('pretrain_img_size', given)


def test_the_least_side_is_a_setting():
    assert arguments.check_img_size('img_size', 8, least=8) == (8, 8)
    with pytest.raises(ValueError, match='at least 8 px'):
        arguments.check_img_size('img_size', 7, least=8)


@pytest.mark.parametrize(
    ('given', 'read'),
    [
        (7, ((7, 7), (7, 7))),
        ((7, 1), ((7, 7), (1, 1))),
        (((7, 5), 3), ((7, 5), (3, 3))),
        ([[7, 5], [3, 4]], ((7, 5), (3, 4))),
    ],
)
def test_windows_are_for_all_stages_or_for_each(given, read):
    assert arguments.resolve_windows(given, 2) == read
    assert arguments.resolve_windows(given, 2, optional=True) == read


def test_a_window_of_none_is_the_whole_map_where_that_is_allowed():
    assert arguments.resolve_windows(None, 2, optional=True) == (None, None)
    assert arguments.resolve_windows((None, 7), 2, optional=True) == (None, (7, 7))
    with pytest.raises(TypeError, match=r'^window_size is None'):
        arguments.resolve_windows(None, 2)


@pytest.mark.parametrize('resolve', [arguments.resolve_windows, partial(arguments.resolve_windows, optional=True)])
@pytest.mark.parametrize(
    ('given', 'error', 'words'),
    [
        ((7, 7, 7), ValueError, '3 entries'),
        (0, ValueError, r'a window \(0, 0\)'),
        (((7, 0), 7), ValueError, r'a window \(7, 0\)'),
        (((7, 7, 7), 7), ValueError, r'a window \(7, 7, 7\)'),
        (7.0, TypeError, 'and .*float'),
        ('77', TypeError, 'and '),
        (b'77', TypeError, 'and '),
        ((7, True), TypeError, 'True is no whole number'),
    ],
)
def test_other_windows_are_refused_with_what_is_allowed(resolve, given, error, words):
    with pytest.raises(error, match=f'^window_size is .*{words}.*; expected .*whole number of at least 1.* 2 of them'):
        resolve(given, 2)
