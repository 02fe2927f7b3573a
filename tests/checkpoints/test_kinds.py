"""What files name is made of the arguments that its writer gives, and of no others."""

import numpy as np
import pytest
import torch

from mmgcvit.checkpoints import kinds

NUMBERS = kinds.Storage(torch.zeros(6).untyped_storage(), torch.float32)
BYTES = kinds.Storage(torch.zeros(6).untyped_storage(), None)


@pytest.mark.parametrize(
    ('make', 'arguments'),
    [
        (kinds.tensor_of_storage, (BYTES, 0, (6,), (1,), False, {})),
        (kinds.tensor_of_storage, (torch.zeros(6), 0, (6,), (1,), False, {})),
        (kinds.tensor_of_bytes, (torch.zeros(6), 0, (6,), (1,), False, {}, torch.float32)),
        (kinds.tensor_of_bytes, (BYTES, 0, (6,), (1,), False, {}, 'float32')),
        (kinds.parameter, ([1.0],)),
        (kinds.tensor_with_attributes, (torch.zeros, torch.Tensor, (3,), {})),
        (kinds.tensor_with_attributes, (kinds.Kind('a set', kinds.plain_set), torch.Tensor, ([],), {})),
        (kinds.tensor_with_attributes, (kinds.Kind('a parameter', kinds.parameter), torch.Tensor, [torch.ones(1)], {})),
        *((kinds.torch_size, ('12',)), (kinds.torch_size, ((-1,),)), (kinds.torch_size, ((True,),))),
        *((kinds.torch_device, ('cuda:x',)), (kinds.torch_device, (3,)), (kinds.torch_device, ('cuda', '1'))),
        *((kinds.numpy_dtype, ('O8',)), (kinds.array_of_bytes, (bytes(4), np.dtype('f4'), (2,), 'C'))),
        *((kinds.encoded, (b'a', 'latin1')), (kinds.encoded, ('a', 'utf-8')), (kinds.complex_number, (1, 2.0))),
        *((kinds.path, ('a', 3)), (kinds.plain_set, ('ab',)), (kinds.plain_set, ({1: 2},))),
        *((kinds.counter, ([1, 2],)), (kinds.counter, ({'a': 1.5},)), (kinds.statistic, ('text', 'mean'))),
    ],
)
def test_of_other_arguments_nothing_is_made(make, arguments):
    with pytest.raises(ValueError, match=r'^(no|a|another) '):
        make(*arguments)


def test_newer_dtypes_are_read_of_bytes_and_attributes_left_out():
    arguments = (BYTES, 2, (2, 2), (2, 1), False, {}, torch.float32)
    make = kinds.Kind('of bytes', kinds.tensor_of_bytes)
    assert torch.equal(kinds.tensor_with_attributes(make, torch.Tensor, arguments, {'a': 1}), torch.zeros(2, 2))


@pytest.mark.parametrize(
    ('offset', 'size', 'stride', 'words'),
    [
        (0, (7,), (1,), r'a tensor of \(7,\) in a storage of 6'),
        (1, (6,), (1,), r'a tensor of \(6,\) in a storage of 6'),
        (0, (2, 6), (0, 1), r'a tensor of \(2, 6\) in a storage of 6'),
        (-1, (2,), (1,), 'a shape that is none'),
        (0, (2,), (1, 1), 'a shape that is none'),
        (0, [2], (1,), 'a shape that is none'),
        (0, (2,), (2**63,), 'a shape that is none'),
    ],
)
def test_a_tensor_stays_within_its_storage_and_shows_each_number_once(offset, size, stride, words):
    with pytest.raises(ValueError, match=f'^{words}$'):
        kinds.tensor_of_storage(NUMBERS, offset, size, stride, False, {})


def test_tensors_that_reach_to_the_end_of_their_storage_are_read():
    storage = kinds.Storage(torch.arange(6.0).untyped_storage(), torch.float32)
    assert kinds.tensor_of_storage(storage, 1, (2, 2), (3, 1), True, None).tolist() == [[1, 2], [4, 5]]
    assert kinds.tensor_of_storage(storage, 5, (1,), (9,), False, {}).tolist() == [5]
    assert kinds.tensor_of_storage(storage, 9, (0, 3), (3, 1), False, {}).shape == (0, 3)
    assert kinds.parameter(torch.ones(2), True, None).tolist() == [1, 1]


@pytest.mark.parametrize(('number', 'is_refused'), [(0, False), (1, False), (2, True)])
def test_truth_is_zero_or_one(number, is_refused):
    storage = kinds.Storage(torch.tensor([1, number, 0], dtype=torch.uint8).untyped_storage(), torch.bool)
    if is_refused:
        with pytest.raises(ValueError, match='truth values other than 0 and 1'):
            kinds.tensor_of_storage(storage, 0, (3,), (1,), False, {})
    else:
        assert kinds.tensor_of_storage(storage, 0, (3,), (1,), False, {}).tolist() == [True, bool(number), False]


@pytest.mark.parametrize('order', ['<', '>'])
def test_numpys_numbers_are_made_in_their_order_of_bytes(order):
    dtype = kinds.numpy_dtype('f4').finish((3, order))
    values = np.arange(6, dtype=dtype).reshape(2, 3)
    made = kinds.numpy_array(None, None, None).finish((1, (2, 3), dtype, True, values.tobytes('F')))
    np.testing.assert_array_equal(made, values)
    assert kinds.numpy_number(dtype, values[1, 2:].tobytes()) == 5
    truth = kinds.array_of_bytes(b'\0\1\2', np.dtype('b1'), (3,), 'C')
    assert truth.tolist() == [False, True, True]


@pytest.mark.parametrize('state', [(), (3,), (3, '!'), None])
def test_an_order_of_bytes_that_is_none_is_refused(state):
    with pytest.raises(ValueError, match='no order of bytes'):
        kinds.numpy_dtype('f4').finish(state)


LOGGED = {'_log_history': np.ones(2), '_count_history': np.ones(2), 'max_length': 5}


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'_log_history': [1.0, 1.0]}, 'a log that is no list of numbers'),
        ({'_count_history': np.ones((2, 1))}, 'a log that is no list of numbers'),
        ({'_log_history': np.array(['a', 'b'])}, 'a log that is no list of numbers'),
        ({'max_length': 1}, 'a log of another length'),
        ({'max_length': 0}, 'a log of another length'),
        ({'max_length': 10_000_001}, 'a log of another length'),
        ({'max_length': 5.0}, 'a log of another length'),
        ({'_log_history': np.ones(3)}, 'a log of another length'),
    ],
)
def test_a_log_is_of_numbers_and_of_its_length(change, words):
    with pytest.raises(ValueError, match=f'^{words}$'):
        kinds.history().finish(LOGGED | change)


def test_what_was_logged_is_read():
    made = kinds.history().finish(LOGGED)
    assert (made.mean(2), made.max_length) == (1.0, 5)


def test_other_values_of_files_are_made():
    assert kinds.torch_size((2, 3)) == torch.Size((2, 3))
    assert kinds.torch_device('cuda:1') == kinds.torch_device('cuda', 1) == torch.device('cuda', 1)
    assert kinds.encoded('\xff', 'latin1') == b'\xff'
    assert kinds.byte_array() == b''
    assert kinds.byte_array(b'ab') == kinds.byte_array('ab', 'latin-1') == bytearray(b'ab')
    assert kinds.complex_number(1.0, 2.0) == 1 + 2j
    assert str(kinds.path('a', 'b')) == 'a/b'
    assert kinds.plain_set([1, 1, 2]) == {1, 2}
    assert kinds.counter({'a': 2}) == {'a': 2}
    assert kinds.counter() == {}
