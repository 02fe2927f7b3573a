"""Files of torch.save, the zip archives of today and the rows of pickles before torch 1.6, read as data.

A pickle is a program that names classes and functions and calls them. Here a name is looked up in a short table of what
tensors and plain containers are made of, exactly; every other one becomes :class:`Inert`, which takes whatever is done
to it and does nothing. What is inert is left out of what is read.
"""

import io
import os
import pickle
import re
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.storage import TypedStorage

from ..errors import CheckpointError, DamagedCheckpointError, first_line

ZIP_SIGNATURE = b'PK\x03\x04'
BEFORE_ZIP = tuple(pickle.dumps(0x1950A86A20F9469CFC6C, protocol) for protocol in range(2, 6))
VERSION_BEFORE_ZIP = 1001
# Python refuses to print the longest whole numbers, and none that is meant has so many bits.
MOST_BITS = 256
# Of what is hashed. Tuples are not among them: Python hashes nested ones without bounds, and crashes.
KEYS = (str, bytes, int, float, bool, type(None))
LEAVES = (*KEYS, complex, bytearray, Tensor, torch.dtype, torch.Size, torch.device)
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


class Inert:
    """What a name beyond the table stands for, and all that a pickle makes of it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ignore(self, *_: Any) -> None:
        pass

    set_state = append = extend = add = __setitem__ = ignore


@dataclass(frozen=True)
class StorageType:
    """A name of torch's for the numbers of tensors."""

    dtype: torch.dtype


class NumberType:
    """``numpy.dtype`` of numbers."""

    def __init__(self, code: str) -> None:
        self.code = code

    def set_state(self, state: Any) -> None:
        """Take the order of bytes."""
        self.code = {'<': '<', '>': '>'}.get(state[1], '') + self.code

    def number(self, raw: bytes) -> float | int | bool | complex:
        return np.frombuffer(raw, self.code)[0].item()


def number_type(code: str, *_: Any) -> NumberType | Inert:
    """``numpy.dtype``: objects, structures and text are no numbers."""
    return NumberType(code) if re.fullmatch('[biufc][0-9]{1,2}', code) else Inert('numpy.dtype')


def tensor_in(storage: TypedStorage, dtype: torch.dtype, offset: int, size: Iterable, stride: Iterable) -> Tensor:
    """A tensor on a storage, refused where it reaches beyond it or shows its numbers more than once."""
    numbers, size, stride = storage._untyped_storage, tuple(size), tuple(stride)
    held, count = numbers.nbytes() // dtype.itemsize, prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if min((offset, *size, *stride)) < 0 or (count and last >= held) or count > held:
        raise ValueError(f'a tensor of {size} in a storage of {held}')
    return torch.empty(0, dtype=dtype, device=numbers.device).set_(numbers, offset if count else 0, size, stride)


def tensor_of_storage(storage: TypedStorage, offset: int, size: Iterable, stride: Iterable, *_: Any) -> Tensor:
    """``torch._utils._rebuild_tensor_v2``: without gradient and hooks."""
    return tensor_in(storage, storage.dtype, offset, size, stride)


def tensor_of_bytes(
    storage: TypedStorage,
    offset: int,
    size: Iterable,
    stride: Iterable,
    requires_grad: Any,
    hooks: Any,
    dtype: Any,
    *_: Any,
) -> Tensor:
    """``torch._utils._rebuild_tensor_v3``: of dtypes newer than the named storages."""
    return tensor_in(storage, dtype, offset, size, stride)


def parameter(data: Any, *_: Any) -> Any:
    """``torch._utils._rebuild_parameter``: its numbers."""
    return data


def tensor_with_attributes(make: Callable[..., Any], kind: Any, arguments: tuple, *_: Any) -> Tensor:
    """``torch._tensor._rebuild_from_type_v2``: a tensor that had attributes of its own, as FSDP's; without them."""
    if make not in (tensor_of_storage, tensor_of_bytes, parameter):
        raise ValueError('no tensor')
    return make(*arguments)


def hashed(items: Iterable[Any] = ()) -> set:
    """A set of what may be hashed."""
    return {item for item in items if type(item) in KEYS}


def named_in_files() -> dict[str, Any]:
    """What stands for the names that files may hold."""
    names: dict[str, Any] = {
        'torch._utils._rebuild_tensor_v2': tensor_of_storage,
        'torch._utils._rebuild_tensor_v3': tensor_of_bytes,
        'torch._utils._rebuild_parameter': parameter,
        'torch._tensor._rebuild_from_type_v2': tensor_with_attributes,
        'torch.Size': torch.Size,
        'torch.device': torch.device,
        'torch.storage.UntypedStorage': StorageType(torch.uint8),
        'torch.UntypedStorage': StorageType(torch.uint8),
        **{f'torch.{name}Storage': StorageType(dtype) for name, dtype in STORAGE_DTYPES.items()},
        **dict.fromkeys(('torch.Tensor', 'torch._tensor.Tensor', 'torch.nn.parameter.Parameter')),
        **{f'builtins.{kind.__name__}': kind for kind in (complex, float, int, list)},
        'builtins.dict': lambda *_: {},
        'builtins.set': hashed,
        'builtins.frozenset': lambda items=(): frozenset(hashed(items)),
        'builtins.bytes': lambda: b'',
        'builtins.bytearray': lambda content=b'', *_: bytearray(content if type(content) is bytes else b''),
        '_codecs.encode': lambda text, _: text.encode('latin-1'),
        'collections.OrderedDict': lambda pairs=(): OrderedDict((k, value) for k, value in pairs if type(k) in KEYS),
        'collections.defaultdict': lambda *_: {},
        'collections.Counter': lambda counts=(): Counter(counts if type(counts) is dict else hashed(counts)),
        'numpy.dtype': number_type,
        # A number, which becomes Python's. Arrays are left out.
        **dict.fromkeys(('numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar'), NumberType.number),
    }
    plain = (dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype))
    return names | {str(dtype): dtype for dtype in plain if not re.match(r'torch\.(q|bits)', str(dtype))}


NAMES = named_in_files()


class DataUnpickler(pickle._Unpickler):
    """Python's machine for pickles, in Python: it looks names up in :data:`NAMES`, and no object takes a state."""

    # None that calls a class in a way of its own, or takes one from a registry.
    dispatch: ClassVar[dict[int, Callable]] = {
        code: step
        for code, step in pickle._Unpickler.dispatch.items()
        if code not in b''.join((pickle.EXT1, pickle.EXT2, pickle.EXT4, pickle.INST, pickle.OBJ, pickle.DICT))
    }

    def find_class(self, module: str, name: str) -> Any:
        full_name = f'{module.replace("__builtin__", "builtins")}.{name}'
        return NAMES[full_name] if full_name in NAMES else Inert(full_name)

    def load_new(self) -> None:
        kind, arguments = self.stack[-2:]
        inert = [part for part in (kind, *arguments) if type(part) is Inert]
        self.stack[-2:] = inert[:1] or [kind(*arguments)]

    def load_new_with_names(self) -> None:
        kind, *_ = self.stack[-3:]
        self.stack[-3:] = [kind if isinstance(kind, Inert) else Inert('a class')]

    def load_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, Inert | NumberType):
            target.set_state(state)
        elif type(target) is OrderedDict:
            target._metadata = versions_in(state)
        else:
            self.stack[-1] = Inert(type(target).__name__)

    def load_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def load_items(self) -> None:
        self.set_items(self.pop_mark())

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, dict):
            target.update((key, value) for key, value in zip(items[::2], items[1::2], strict=True) if type(key) in KEYS)

    def load_set_items(self) -> None:
        items = self.pop_mark()
        if type(self.stack[-1]) is set:
            self.stack[-1].update(hashed(items))

    def load_frozen_set(self) -> None:
        items = self.pop_mark()
        self.stack.append(frozenset(hashed(items)))

    dispatch |= {
        pickle.NEWOBJ[0]: load_new,
        pickle.REDUCE[0]: load_new,
        pickle.NEWOBJ_EX[0]: load_new_with_names,
        pickle.BUILD[0]: load_build,
        pickle.SETITEM[0]: load_item,
        pickle.SETITEMS[0]: load_items,
        pickle.ADDITEMS[0]: load_set_items,
        pickle.FROZENSET[0]: load_frozen_set,
    }


def versions_in(state: Any) -> OrderedDict:
    """The versions of modules, which torch keeps at a state dict. Other entries would steer how torch loads it."""
    metadata = state.get('_metadata') if type(state) is dict else None
    facts = metadata.items() if isinstance(metadata, dict) else ()
    return OrderedDict(
        (module, {'version': fact['version']})
        for module, fact in facts
        if isinstance(fact, dict) and type(fact.get('version')) is int
    )


def as_data(value: Any, done: dict[int, Any]) -> Any:
    """What a pickle has made, without what is inert: an entry of a dict goes, a sequence goes as a whole.

    What has become of a container stands in ``done`` by its id, so that what is shared stays so.
    """
    kind = type(value)
    if kind is int and value.bit_length() > MOST_BITS:
        return Inert('a whole number of more than 256 bits')
    if kind in LEAVES or kind is Inert:
        return value
    if id(value) in done:
        return done[id(value)]
    if kind in (dict, OrderedDict, Counter):
        data = kind()
        for key, item in value.items():
            item = as_data(item, done)
            if type(item) is not Inert:
                data[key] = item
        if hasattr(value, '_metadata'):
            data._metadata = value._metadata
    elif kind in (list, tuple, set, frozenset):
        items = [as_data(item, done) for item in value]
        data = next((item for item in items if type(item) is Inert), None) or kind(items)
    else:
        data = Inert(f'{kind.__module__}.{kind.__qualname__}')
    done[id(value)] = data
    return data


def read_torch(path: Path, with_numbers: bool = True) -> Any:
    """What a file of torch.save holds of data; without numbers, tensors of archives come on torch's meta device."""
    with path.open('rb') as file:
        head = file.read(max(map(len, BEFORE_ZIP)))
    if not head:
        raise DamagedCheckpointError(f'{path} is empty')
    if not head.startswith((ZIP_SIGNATURE, *BEFORE_ZIP)):
        raise DamagedCheckpointError(f'{path} is no checkpoint: neither a file of torch.save nor safetensors')
    try:
        content = read_zip(path, with_numbers) if head.startswith(ZIP_SIGNATURE) else read_rows(path)
        data = as_data(content, {})
    except CheckpointError:
        raise
    except Exception as error:  # zipfile, torch and a crafted pickle can end in any.
        raise DamagedCheckpointError(
            f'{path} is damaged: it begins as a checkpoint, and then does not go on as one ({first_line(error)}). '
            'Was it cut short? Fetch it again'
        ) from None
    if type(data) is Inert:
        raise CheckpointError(
            f'{path} is refused: it holds {data.name}, which could run code, and nothing beside. If the file is '
            'your own, --trust-checkpoint lets it (train, test and convert have it); or save its weights alone '
            "(torch.save(checkpoint['state_dict'], ...)) where it was made"
        )
    return data


def unpickle(file: IO[bytes], numbers: Callable[[str, int], torch.UntypedStorage]) -> Any:
    """What a pickle describes; a function gives the numbers of tensors by their key and how many bytes they have."""

    def find(reference: Any) -> TypedStorage | Inert:
        what, kind, *others = reference
        if what == 'module' or type(kind) is Inert:
            return Inert('torch.nn.Module')
        key, _, count, *view = others
        if type(kind) is not StorageType or type(key) is not str or type(count) is not int or any(view):
            raise ValueError('a reference to no storage')
        storage = numbers(key, count * kind.dtype.itemsize)
        return TypedStorage(wrap_storage=storage, dtype=kind.dtype, _internal=True)

    unpickler = DataUnpickler(file, encoding='utf-8')
    unpickler.persistent_load = find
    return unpickler.load()


def storage_of(size: int, device: str = 'cpu') -> torch.UntypedStorage:
    """An empty storage of so many bytes."""
    return torch.empty(size, dtype=torch.uint8, device=device).untyped_storage()


def fill(storage: torch.UntypedStorage, raw: bytes) -> None:
    """Put bytes into a storage, which must be as many as it has."""
    if len(raw) != storage.nbytes():
        raise ValueError(f'{len(raw)} bytes instead of {storage.nbytes()}')
    if raw:
        torch.empty(0, dtype=torch.uint8).set_(storage).copy_(torch.frombuffer(bytearray(raw), dtype=torch.uint8))


def read_zip(path: Path, with_numbers: bool) -> Any:
    """What a zip archive holds, all of it.

    By Python's zipfile, which compares checksums. torch's reader does not; runs TorchScript where an archive has some;
    and believes a pickle how many numbers a storage has.
    """
    storages: dict[str, torch.UntypedStorage] = {}

    def numbers(key: str, size: int) -> torch.UntypedStorage:
        if not with_numbers:
            return storage_of(size, 'meta')
        if key not in storages:
            storages[key] = storage_of(archive.getinfo(f'{folder}/data/{key}').file_size)
            fill(storages[key], archive.read(f'{folder}/data/{key}'))
        if storages[key].nbytes() != size:
            raise ValueError(f'a storage of {storages[key].nbytes()} bytes instead of {size}')
        return storages[key]

    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        folder = names[0].split('/')[0]
        if len(set(names)) != len(names):
            raise ValueError('two entries of one name')
        if f'{folder}/constants.pkl' in names:
            raise CheckpointError(
                f'{path} is a TorchScript program, not a checkpoint; save its weights alone where it was made '
                '(torch.save(program.state_dict(), ...))'
            )
        if f'{folder}/data.pkl' not in names:
            raise DamagedCheckpointError(f"{path} is no checkpoint: a zip archive without torch's data.pkl")
        if f'{folder}/byteorder' in names and archive.read(f'{folder}/byteorder') != b'little':
            raise CheckpointError(f'{path} was written on a machine of the other byte order; save it anew on this one')
        return unpickle(io.BytesIO(archive.read(f'{folder}/data.pkl')), numbers)


def read_rows(path: Path) -> Any:
    """What a file from before zip holds: five pickles, then the numbers, in the order of the keys in the last pickle.

    torch's own reading would unpack a tar archive that begins so, and write patches of modules' source.
    """
    storages: dict[str, torch.UntypedStorage] = {}

    def numbers(key: str, size: int) -> torch.UntypedStorage:
        if storages.setdefault(key, storage_of(size)).nbytes() != size:
            raise ValueError('one storage of two lengths')
        return storages[key]

    with path.open('rb') as file:
        _, version, facts = (unpickle(file, numbers) for _ in range(3))
        if version != VERSION_BEFORE_ZIP or facts['little_endian'] is not True:
            raise ValueError('of another version or byte order')
        content = unpickle(file, numbers)
        keys = unpickle(file, numbers)
        if not all(type(key) is str for key in keys) or {*keys} != storages.keys():
            raise ValueError('the keys of other storages')
        for key in keys:
            file.seek(8, os.SEEK_CUR)  # How many numbers; their type stands in the pickle.
            fill(storages[key], file.read(storages[key].nbytes()))
        if file.read(1):
            raise ValueError('more than it should have')
        return content
