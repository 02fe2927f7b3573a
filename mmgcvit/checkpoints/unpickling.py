"""Unpickle files of ``torch.save`` without running code from them.

A pickle names classes and functions and calls them. Here a name is looked up in :data:`ALLOWED`; every other name
becomes :class:`Inert`, which accepts any call and does nothing. torch's own reader does the rest: it takes a module in
place of ``pickle`` in every version from 2.1 on.
"""

import pickle
import re
from collections import Counter, OrderedDict
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch


class Inert:
    """Stands for every class and function that is not in the table, and for what a pickle makes with it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __new__(cls, *_: Any, **__: Any) -> 'Inert':
        return super().__new__(cls)

    def ignore(*_: Any, **__: Any) -> None:
        pass

    append = extend = add = __setitem__ = __setstate__ = __call__ = ignore


class NumberType(Inert):
    """Stands for ``numpy.dtype``."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = code


def read_number(dtype: Any, raw: bytes) -> Any:
    """Stands for NumPy's constructor of scalars, which scores often are: gives Python's number."""
    is_number = isinstance(dtype, NumberType) and re.fullmatch(r'[biuf]\d', dtype.code)
    return np.frombuffer(raw, dtype.code)[0].item() if is_number else Inert()


ALLOWED: dict[str, Any] = {
    **{str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)},
    'torch.Size': torch.Size,
    'torch.device': torch.device,
    'torch._utils._rebuild_tensor_v2': torch._utils._rebuild_tensor_v2,
    # Parameters and tensors with attributes come out as plain tensors.
    'torch._utils._rebuild_parameter': lambda data, *_: data,
    'torch._utils._rebuild_parameter_with_state': lambda data, *_: data,
    'torch._tensor._rebuild_from_type_v2': lambda rebuild, _, arguments, *__: rebuild(*arguments),
    'collections.OrderedDict': OrderedDict,
    'collections.Counter': Counter,
    'collections.defaultdict': lambda *_: {},
    'builtins.set': set,
    '_codecs.encode': lambda text, _: text.encode('latin-1'),
    'numpy.dtype': NumberType,
    **dict.fromkeys(('numpy.core.multiarray.scalar', 'numpy._core.multiarray.scalar'), read_number),
}


class SafeUnpickler(pickle.Unpickler):
    """Python's unpickler with :data:`ALLOWED` for all names."""

    def find_class(self, module: str, name: str) -> Any:
        if name == 'UntypedStorage':
            # torch looks at its dtype alone.
            return SimpleNamespace(dtype=torch.uint8)
        found = ALLOWED.get(f'{module.replace("__builtin__", "builtins")}.{name}')
        if found is None:
            return type(name, (Inert,), {'__module__': module})
        # A new function each time: a pickle can set attributes of the classes and functions that it is given.
        return found if isinstance(found, torch.dtype) else lambda *arguments: found(*arguments)


# What torch.load takes in place of Python's pickle.
SAFE_PICKLE = SimpleNamespace(
    __name__='pickle', Unpickler=SafeUnpickler, load=lambda file, **options: SafeUnpickler(file, **options).load()
)


def remove_inert(value: Any) -> bool:
    """Remove from nested dicts, in place, the entries that hold anything inert; whether none is left.

    A list, tuple or set with something inert in it goes as a whole, as its places may mean something.
    """
    if isinstance(value, dict):
        for key in [key for key, item in value.items() if not (remove_inert(item) and remove_inert(key))]:
            del value[key]
        return True
    if isinstance(value, list | tuple | set):
        return all(map(remove_inert, value))
    return not (isinstance(value, Inert) or callable(value))
