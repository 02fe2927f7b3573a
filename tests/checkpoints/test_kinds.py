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
