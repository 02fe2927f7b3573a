"""Files of torch.save read as data: by torch's own reader, with an unpickler that looks names up in a short table.

A pickle is a program that names classes and functions and calls them. A name beyond the table becomes :class:`Inert`,
which takes whatever is done to it and does nothing. What is inert is left out of what is read.
"""

import io
import pickle
import pickletools
import re
import tarfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
import torch
from packaging.version import Version
from torch.storage import TypedStorage

from ..errors import CheckpointError, DamagedCheckpointError, first_line

ZIP_SIGNATURE = b'PK\x03\x04'
BEFORE_ZIP = tuple(pickle.dumps(0x1950A86A20F9469CFC6C, protocol) for protocol in range(2, 6))
PICKLES_BEFORE_ZIP = 5
# Python refuses to print the longest whole numbers, and none that is meant has so many bits.
MOST_BITS = 256
KEYS = (str, bytes, int, float, bool, type(None))
LEAVES = (*KEYS, complex, bytearray, torch.dtype, torch.Size, torch.device)


class Inert:
    """What a name beyond the table stands for, and all that a pickle makes of it.

    A pickle sets attributes of what has no ``__setstate__``. Here the class has one too: nothing of it can be changed.
    """

    name = 'an object'

    def __new__(cls, *_: Any, **__: Any) -> 'Inert':
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def ignore(*_: Any) -> None:
        pass

    append = extend = add = __setitem__ = __setstate__ = __call__ = ignore


class Numbers(Inert):
    """A tensor out of the pickle's reach; as torch's own it would take states."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor


class NumberType(Inert):
    """``numpy.dtype`` of numbers."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, ''

    def __setstate__(self, state: Any) -> None:
        self.order = {'<': '<', '>': '>'}.get(state[1], '')


def number_in(kind: Any, raw: Any) -> Any:
    """``numpy.core.multiarray.scalar``: Python's number; objects, structures and text are none."""
    if type(kind) is not NumberType or not re.fullmatch('[biufc][0-9]{1,2}', kind.code):
        return Inert()
    return np.frombuffer(raw, kind.order + kind.code)[0].item()


def tensor_in(storage: TypedStorage, dtype: torch.dtype, offset: int, size: Iterable, stride: Iterable) -> Numbers:
    """A tensor on a storage, refused where it reaches beyond it or shows its numbers more than once."""
    numbers, size, stride = storage._untyped_storage, tuple(size), tuple(stride)
    held, count = numbers.nbytes() // dtype.itemsize, prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if str(dtype) not in NAMES:
        raise ValueError(f'a tensor of {dtype}')
    if min((offset, *size, *stride)) < 0 or (count and last >= held) or count > held:
        raise ValueError(f'a tensor of {size} in a storage of {held}')
    return Numbers(
        torch.empty(0, dtype=dtype, device=numbers.device).set_(numbers, offset if count else 0, size, stride)
    )


# What stands for the names that files may hold: functions that make data, and torch's dtypes.
NAMES: dict[str, Any] = {
    **{
        str(each): each
        for each in vars(torch).values()
        if isinstance(each, torch.dtype) and not re.match(r'torch\.(q|bits)', str(each))
    },
    # Without gradients, hooks and attributes of its own, as FSDP's has.
    'torch._utils._rebuild_tensor_v2': lambda storage, *place: tensor_in(storage, storage.dtype, *place[:3]),
    'torch._utils._rebuild_tensor_v3': lambda storage, *place: tensor_in(storage, place[5], *place[:3]),
    'torch._utils._rebuild_parameter': lambda data, *_: data,
    'torch._tensor._rebuild_from_type_v2': lambda make, kind, arguments, *_: make(*arguments),
    'torch.Size': torch.Size,
    'torch.device': torch.device,
    **{f'builtins.{kind.__name__}': kind for kind in (complex, set, frozenset)},
    # Of a number both would be as long as it says.
    'builtins.bytes': lambda: b'',
    'builtins.bytearray': lambda content=b'', *_: bytearray(content if type(content) is bytes else b''),
    '_codecs.encode': lambda text, _: text.encode('latin-1'),
    'collections.OrderedDict': OrderedDict,
    'collections.defaultdict': lambda *_: {},
    'collections.Counter': Counter,
    'numpy.dtype': NumberType,
    # Arrays are left out.
    **dict.fromkeys(('numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar'), number_in),
}
UNTYPED = ('torch.UntypedStorage', 'torch.storage.UntypedStorage')


class DataUnpickler(pickle.Unpickler):
    """Python's unpickler, which looks names up in :data:`NAMES` alone."""

    # What it reads from, where storages have to be compared with it.
    archive: Any = None

    def find_class(self, module: str, name: str) -> Any:
        full_name = f'{module.replace("__builtin__", "builtins")}.{name}'
        found = NAMES.get(full_name)
        if full_name in UNTYPED:
            return SimpleNamespace(dtype=torch.uint8)
        if found is None:
            return type('Inert', (Inert,), {'name': full_name})
        # A new function each time: a pickle can change the attributes of those that it is given.
        return found if isinstance(found, torch.dtype) else lambda *arguments: found(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, numbers_only(value, self.archive) if name == 'persistent_load' else value)


def numbers_only(find: Callable[[Any], TypedStorage], archive: Any) -> Callable[[Any], Any]:
    """The way of torch from a reference to a storage, for nothing else: of modules it may write patches into files."""

    def persistent_load(reference: Any) -> Any:
        what, kind, *others = reference
        if what == 'module':
            return type('Inert', (Inert,), {'name': 'torch.nn.Module'})
        key, _, count, *view = others
        if what != 'storage' or type(key) is not str or type(count) is not int or count < 0 or any(view):
            raise ValueError('a reference to no storage')
        if archive is not None and len(archive.get_record(f'data/{key}')) != count * kind.dtype.itemsize:
            raise ValueError('a storage that is not as long as its record')
        storage = find(reference)
        if storage._untyped_storage.nbytes() != count * kind.dtype.itemsize:
            raise ValueError('one storage of two lengths')
        return storage

    return persistent_load


def as_data(value: Any, done: dict[int, Any]) -> Any:
    """What a pickle has made, without what is inert: an entry of a dict goes, a sequence goes as a whole.

    What has become of a container stands in ``done`` by its id, so that what is shared stays so.
    """
    kind = type(value)
    if kind is Numbers:
        return value.tensor
    if kind in LEAVES and not (kind is int and value.bit_length() > MOST_BITS):
        return value
    if id(value) in done:
        return done[id(value)]
    if kind in (dict, OrderedDict, Counter):
        # An OrderedDict's own methods can be hidden by what a file has set on it.
        items = ((key, as_data(item, done)) for key, item in dict.items(value) if type(key) in KEYS)
        data = kind({key: item for key, item in items if not isinstance(item, Inert)})
        if kind is OrderedDict and '_metadata' in vars(value):
            data._metadata = versions_in(vars(value)['_metadata'])
    elif kind in (list, tuple, set, frozenset):
        items = [as_data(item, done) for item in value]
        data = next((item for item in items if isinstance(item, Inert)), None) or kind(items)
    else:
        data = value if isinstance(value, Inert) else Inert()
    done[id(value)] = data
    return data


def versions_in(metadata: Any) -> OrderedDict:
    """The versions of modules, which torch keeps at a state dict. Other entries would steer how torch loads it."""
    return OrderedDict(
        (module, {'version': fact['version']})
        for module, fact in (dict.items(metadata) if isinstance(metadata, dict) else ())
        if isinstance(fact, dict) and type(fact.get('version')) is int
    )


def read_torch(path: Path, with_numbers: bool = True, mapped: bool = False) -> Any:
    """What a file of torch.save holds of data; without numbers, its tensors come on torch's meta device.

    Of a mapped file only what is used is read, by all processes of a machine once. It must not be written into while
    its tensors are in use, and be as torch.save wrote it: nothing compressed is unpacked, no checksum looked at.
    """
    with path.open('rb') as file:
        head = file.read(max(map(len, BEFORE_ZIP)))
        if not head:
            raise DamagedCheckpointError(f'{path} is empty')
        if not head.startswith((ZIP_SIGNATURE, *BEFORE_ZIP)):
            raise DamagedCheckpointError(f'{path} is no checkpoint: neither a file of torch.save nor safetensors')
        try:
            file.seek(0)
            archive = None
            if head.startswith(ZIP_SIGNATURE):
                # Asked of torch's reader, as torch does: another might see another file.
                archive = torch._C.PyTorchFileReader(file)
                if archive.has_record('constants.pkl'):
                    raise CheckpointError(
                        f'{path} is a TorchScript program, not a checkpoint; save its weights alone where it was made '
                        '(torch.save(program.state_dict(), ...))'
                    )
                if not archive.has_record('data.pkl'):
                    raise DamagedCheckpointError(f"{path} is no checkpoint: a zip archive without torch's data.pkl")
                check_memo(io.BytesIO(archive.get_record('data.pkl')))
            # torch would unpack it, and a file can begin as both.
            elif tarfile.is_tarfile(path):
                raise ValueError('it is a tar archive')
            else:
                for _ in range(PICKLES_BEFORE_ZIP):
                    check_memo(file)
            file.seek(0)
            location = 'cpu' if with_numbers else 'meta'
            # Slices of a mapped file end where it ends, and torch 2.13 looks itself; 2.1 shows what lies in memory
            # behind a record.
            looks_itself = mapped or Version(torch.__version__) >= Version('2.13')
            unpickler = type('DataUnpickler', (DataUnpickler,), {'archive': None if looks_itself else archive})
            # What torch takes for Python's module pickle.
            reader = SimpleNamespace(
                __name__=__name__, Unpickler=unpickler, load=lambda file, **options: unpickler(file, **options).load()
            )
            # Torch maps what it opens itself.
            data = as_data(
                torch.load(str(path) if mapped else file, location, reader, weights_only=False, mmap=mapped), {}
            )
        except CheckpointError:
            raise
        except Exception as error:  # torch and a crafted pickle can end in any.
            raise DamagedCheckpointError(
                f'{path} is damaged: it begins as a checkpoint, and then does not go on as one ({first_line(error)}). '
                'Was it cut short? Fetch it again'
            ) from None
    if isinstance(data, Inert):
        raise CheckpointError(
            f'{path} is refused: it holds {data.name}, which could run code, and nothing beside. If the file is '
            'your own, --trust-checkpoint lets it; or save its weights alone '
            "(torch.save(checkpoint['state_dict'], ...)) where it was made"
        )
    return data


def check_memo(file: IO[bytes]) -> None:
    """Refuse a pickle that numbers what it keeps beyond its steps: Python fills memory up to the number.

    One bit that is turned in a file may ask for all there is.
    """
    for step, (code, argument, _) in enumerate(pickletools.genops(file)):
        if code.name in ('PUT', 'LONG_BINPUT') and argument > step:
            raise ValueError(f'{argument} kept after {step} steps')
