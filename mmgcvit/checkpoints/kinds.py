"""What checkpoints name beside plain containers: tensors, NumPy's arrays and numbers, what trainers log and set.

Each is made here, of arguments that are checked; no class is called with what a file gives it.
"""

import argparse
import re
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from math import prod
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from torch import Tensor

from .pickles import Kind, Unfinished, set_items

STORAGE_DTYPES = {
    'Float': torch.float32,
    'Double': torch.float64,
    'Half': torch.float16,
    'BFloat16': torch.bfloat16,
    'Long': torch.int64,
    'Int': torch.int32,
    'Short': torch.int16,
    'Char': torch.int8,
    'Byte': torch.uint8,
    'Bool': torch.bool,
    'ComplexFloat': torch.complex64,
    'ComplexDouble': torch.complex128,
}
# Object, structured and text types have no place here: their bytes are pointers, or can break Python's own text.
NUMPY_DTYPES = {'b1', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'f2', 'f4', 'f8', 'c8', 'c16'}
LONGEST_HISTORY = 10_000_000
HISTORY_STATISTICS = ('min', 'max', 'current', 'mean')


@dataclass(frozen=True)
class StorageKind:
    """A name of torch's for the numbers of tensors; without a dtype they are counted in bytes."""

    dtype: torch.dtype | None


@dataclass(frozen=True)
class Storage:
    """The numbers of tensors, as a file refers to them."""

    numbers: torch.UntypedStorage
    dtype: torch.dtype | None


def tensor_of_storage(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, metadata: Any = None
) -> Tensor:
    """``torch._utils._rebuild_tensor_v2``: a dense tensor within its storage. It needs no gradient and has no hooks."""
    if not isinstance(storage, Storage) or storage.dtype is None:
        raise ValueError('no storage with a dtype')
    return tensor_within(storage.numbers, storage.dtype, offset, size, stride)


def tensor_of_bytes(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any, metadata: Any = None
) -> Tensor:
    """``torch._utils._rebuild_tensor_v3``: likewise, of dtypes newer than the named storages."""
    if not isinstance(storage, Storage) or not isinstance(dtype, torch.dtype):
        raise ValueError('no storage, or no dtype')
    return tensor_within(storage.numbers, dtype, offset, size, stride)


def tensor_within(numbers: torch.UntypedStorage, dtype: torch.dtype, offset: Any, size: Any, stride: Any) -> Tensor:
    """A tensor on a storage, refused where it reaches beyond it or shows its numbers more than once."""
    if not are_counts((offset,)) or not are_counts(size) or not are_counts(stride) or len(size) != len(stride):
        raise ValueError('a shape that is none')
    held = numbers.nbytes() // dtype.itemsize
    count = prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if count and (last >= held or count > held):
        raise ValueError(f'a tensor of {tuple(size)} in a storage of {held}')
    if dtype == torch.bool and count and has_other_than_truth(numbers):
        raise ValueError('truth values other than 0 and 1')
    empty = torch.empty(0, dtype=dtype, device=numbers.device)
    return empty.set_(numbers, offset if count else 0, tuple(size), tuple(stride))


def has_other_than_truth(numbers: torch.UntypedStorage) -> bool:
    """Whether bytes are not all 0 or 1; asked of a storage without numbers, no."""
    read = torch.empty(0, dtype=torch.uint8, device=numbers.device).set_(numbers)
    return not read.is_meta and bool(read.max() > 1)


def are_counts(values: Any) -> bool:
    """Whether values are whole numbers from 0 that torch can take."""
    return type(values) in (tuple, torch.Size) and all(type(v) is int and 0 <= v < 2**63 for v in values)


def parameter(data: Any, *_: Any) -> Tensor:
    """``torch._utils._rebuild_parameter``: its numbers, as :meth:`state_dict` has them."""
    if type(data) is not Tensor:
        raise ValueError('no tensor')
    return data


def tensor_with_attributes(make: Any, kind: Any, arguments: Any, attributes: Any) -> Tensor:
    """``torch._tensor._rebuild_from_type_v2``: a tensor that had attributes of its own, as FSDP's; without them."""
    makers = (tensor_of_storage, tensor_of_bytes, parameter)
    if not isinstance(make, Kind) or make.make not in makers or type(arguments) is not tuple:
        raise ValueError('no tensor')
    return make.make(*arguments)


def torch_size(values: Any) -> torch.Size:
    if not are_counts(values):
        raise ValueError('no shape')
    return torch.Size(values)


def torch_device(name: Any, index: Any = None) -> torch.device:
    is_name = type(name) is str and re.fullmatch(r'[a-z]{1,20}(:\d{1,3})?', name)
    if not is_name or type(index) not in (int, type(None)):
        raise ValueError('no device')
    return torch.device(name) if index is None else torch.device(name, index)


def numpy_dtype(name: Any, *_: Any) -> Unfinished:
    """``numpy.dtype``: of a number. Its state tells the order of bytes."""
    if name not in NUMPY_DTYPES:
        raise ValueError('no type of a number')

    def in_order(state: Any) -> np.dtype:
        order = state[1] if type(state) is tuple and len(state) > 1 else None
        if order not in ('<', '>', '|', '='):
            raise ValueError('no order of bytes')
        return np.dtype(name).newbyteorder(order)

    return Unfinished(in_order)


def numpy_array(kind: Any, shape: Any, code: Any) -> Unfinished:
    """``numpy.core.multiarray._reconstruct``: an array whose state has everything."""

    def of_state(state: Any) -> np.ndarray:
        _, shape, dtype, is_fortran, raw = state
        return array_of_bytes(raw, dtype, shape, 'F' if is_fortran is True else 'C')

    return Unfinished(of_state)


def array_of_bytes(raw: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    """``numpy._core.numeric._frombuffer``: an array of numbers, of exactly as many bytes as it takes."""
    if not isinstance(dtype, np.dtype) or type(raw) not in (bytes, bytearray) or order not in ('C', 'F'):
        raise ValueError('no numbers')
    if not are_counts(shape) or len(shape) > 32 or prod(shape) * dtype.itemsize != len(raw):
        raise ValueError('a shape of other numbers')
    if dtype == np.bool_:
        return (np.frombuffer(raw, np.uint8) != 0).reshape(shape, order=order)
    return np.frombuffer(raw, dtype).copy().reshape(shape, order=order)


def numpy_number(dtype: Any, raw: Any) -> np.generic:
    """``numpy.core.multiarray.scalar``."""
    return array_of_bytes(raw, dtype, (1,), 'C')[0]


def encoded(text: Any, encoding: Any) -> bytes:
    """``_codecs.encode``, by which protocol 2 writes bytes."""
    if type(text) is not str or encoding not in ('latin1', 'latin-1'):
        raise ValueError('no bytes')
    return text.encode('latin-1')


def byte_array(content: Any = b'', encoding: Any = 'latin-1') -> bytearray:
    """``bytearray`` of bytes; of a number it would be as long as the file says."""
    return bytearray(content if type(content) is bytes else encoded(content, encoding))


def complex_number(real: Any, imaginary: Any) -> complex:
    if type(real) is not float or type(imaginary) is not float:
        raise ValueError('no numbers')
    return complex(real, imaginary)


def path(*parts: Any) -> PurePosixPath:
    """``pathlib.PosixPath``: the path's text. No method of it touches a disk."""
    if not all(type(part) is str for part in parts):
        raise ValueError('no path')
    return PurePosixPath(*parts)


def plain_set(items: Any = ()) -> set:
    if type(items) not in (list, tuple):
        raise ValueError('no items')
    return set(set_items(items))


def counter(counts: Any = None) -> Counter:
    """``collections.Counter`` of whole numbers."""
    counts = {} if counts is None else counts
    if type(counts) is not dict or not all(type(count) is int for count in counts.values()):
        raise ValueError('no counts')
    return Counter(counts)


def empty(kind: type) -> Kind:
    """A class that files name without arguments, and fill afterwards."""
    return Kind(f'{kind.__module__}.{kind.__qualname__}', lambda: kind())


def statistic(owner: Any, name: Any) -> str:
    """``getattr``, by which a :class:`HistoryBuffer` finds its own methods again; only their names are kept."""
    if not isinstance(owner, Kind) or owner.make is not history or name not in HISTORY_STATISTICS:
        raise ValueError('another attribute')
    return name


def history() -> Unfinished:
    """``mmengine``'s HistoryBuffer: what was logged, and how often."""

    def of_state(state: Any) -> HistoryBuffer:
        log, count, length = (state[name] for name in ('_log_history', '_count_history', 'max_length'))
        for numbers in (log, count):
            if type(numbers) is not np.ndarray or numbers.ndim != 1 or numbers.dtype.kind not in 'biuf':
                raise ValueError('a log that is no list of numbers')
        if type(length) is not int or not 0 < length <= LONGEST_HISTORY or not len(log) == len(count) <= length:
            raise ValueError('a log of another length')
        return HistoryBuffer(log, count, length)

    return Unfinished(of_state)


@cache
def names_in_files() -> Mapping[str, Any]:
    """What each name that files may hold stands for: a :class:`Kind`, a :class:`StorageKind` or a value."""
    makers = {
        'torch._utils._rebuild_tensor_v2': tensor_of_storage,
        'torch._utils._rebuild_tensor_v3': tensor_of_bytes,
        'torch._utils._rebuild_parameter': parameter,
        'torch._tensor._rebuild_from_type_v2': tensor_with_attributes,
        'torch.Size': torch_size,
        'torch.device': torch_device,
        'numpy.ndarray': numpy_array,
        'numpy.dtype': numpy_dtype,
        '_codecs.encode': encoded,
        'builtins.bytes': lambda: b'',
        'builtins.bytearray': byte_array,
        'builtins.complex': complex_number,
        'builtins.set': plain_set,
        'builtins.frozenset': lambda items=(): frozenset(plain_set(items)),
        'builtins.getattr': statistic,
        'collections.Counter': counter,
        'mmengine.logging.history_buffer.HistoryBuffer': history,
        **{
            f'{module}.{kind}': path
            for module in ('pathlib', 'pathlib._local')
            for kind in ('PosixPath', 'PurePosixPath')
        },
    }
    for core in ('numpy.core', 'numpy._core'):
        makers |= {
            f'{core}.multiarray._reconstruct': numpy_array,
            f'{core}.multiarray.scalar': numpy_number,
            f'{core}.numeric._frombuffer': array_of_bytes,
        }
    names: dict[str, Any] = {name: Kind(name, make) for name, make in makers.items()}
    names |= {'collections.OrderedDict': empty(OrderedDict), 'argparse.Namespace': empty(argparse.Namespace)}
    names |= {f'torch.{name}Storage': StorageKind(dtype) for name, dtype in STORAGE_DTYPES.items()}
    names |= dict.fromkeys(('torch.storage.UntypedStorage', 'torch.UntypedStorage'), StorageKind(None))
    names |= {str(dtype): dtype for dtype in vars(torch).values() if is_numeric(dtype)}
    names |= {name: name for name in ('torch.Tensor', 'torch._tensor.Tensor', 'torch.nn.parameter.Parameter')}
    names |= {
        f'mmengine.logging.history_buffer.HistoryBuffer.{statistic}': statistic for statistic in HISTORY_STATISTICS
    }
    return names


def is_numeric(value: Any) -> bool:
    """Whether something is a dtype of numbers as such, not of quantized ones or pieces of bytes."""
    whole = r'torch\.(bool|u?int(8|16|32|64))'
    return isinstance(value, torch.dtype) and (
        value.is_floating_point or value.is_complex or re.fullmatch(whole, str(value)) is not None
    )
