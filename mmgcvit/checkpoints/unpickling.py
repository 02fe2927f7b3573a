"""Unpickle files of ``torch.save`` without running code from them.

A pickle names classes and functions, and unpickling calls them. :class:`SafeUnpickler` allows those
in :data:`ALLOWED` and replaces all others by :class:`Placeholder`, which accepts any call and does
nothing. ``torch.load`` (2.1 or later) uses this unpickler if its argument ``pickle_module`` is
:data:`SAFE_PICKLE`.
"""

import pickle
import re
from collections import Counter, OrderedDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch


class Placeholder:
    """Placeholder for classes and functions not in :data:`ALLOWED`, and for the objects that they
    would make.
    """

    def __new__(cls, *_: Any, **__: Any) -> 'Placeholder':
        return super().__new__(cls)

    def ignore(*_: Any, **__: Any) -> None:
        pass

    __init__ = append = extend = add = __setitem__ = __setstate__ = __call__ = ignore


class DtypePlaceholder(Placeholder):
    """Placeholder for ``numpy.dtype`` that keeps the type code, for example ``f8``."""

    def __init__(self, code: str, *_: Any):
        self.code = code


def convert_numpy_scalar(dtype: Any, raw: bytes) -> Any:
    """Convert a pickled NumPy number, such as a score, to a Python number, and any other scalar to
    a placeholder.
    """
    if isinstance(dtype, DtypePlaceholder) and re.fullmatch(r'[biuf]\d', dtype.code):
        return np.frombuffer(raw, dtype.code)[0].item()
    return Placeholder()


ALLOWED: dict[str, Any] = {
    **{str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)},
    'torch.Size': torch.Size,
    'torch.device': torch.device,
    'torch._utils._rebuild_tensor_v2': torch._utils._rebuild_tensor_v2,
    # Parameters and tensors with attributes are read as plain tensors.
    'torch._utils._rebuild_parameter': lambda data, *_: data,
    'torch._utils._rebuild_parameter_with_state': lambda data, *_: data,
    'torch._tensor._rebuild_from_type_v2': lambda rebuild, _, arguments, *__: rebuild(*arguments),
    'collections.OrderedDict': OrderedDict,
    'collections.Counter': Counter,
    'collections.defaultdict': lambda *_: {},
    'builtins.set': set,
    '_codecs.encode': lambda text, _: text.encode('latin-1'),
    'numpy.dtype': DtypePlaceholder,
    'numpy.core.multiarray.scalar': convert_numpy_scalar,
    'numpy._core.multiarray.scalar': convert_numpy_scalar,
}


# The types of values that are kept, besides containers. The others are placeholders, and what torch
# makes for storages.
DATA = (
    str,
    bytes,
    bytearray,
    int,
    float,
    complex,
    type(None),
    torch.Tensor,
    torch.dtype,
    torch.device,
)


class SafeUnpickler(pickle._Unpickler):
    """An unpickler that looks up all classes and functions in :data:`ALLOWED`.

    It is Python's own and not the one in C, which allocates up to 64 GB for a damaged memo index
    (gh-115952).
    """

    load_by_torch: Callable[[Any], Any]

    def __setattr__(self, name: str, value: Any) -> None:
        # torch.load sets persistent_load, which the method below calls.
        super().__setattr__('load_by_torch' if name == 'persistent_load' else name, value)

    def persistent_load(self, persistent_id: Any) -> Any:
        """Load storages only: for modules torch could write files with their source."""
        if persistent_id[0] in ('storage', b'storage'):
            return self.load_by_torch(persistent_id)
        return persistent_id[1]

    def find_class(self, module: str, name: str) -> Any:
        if name == 'UntypedStorage':
            # torch.load reads only the dtype of this class.
            return SimpleNamespace(dtype=torch.uint8)
        replacement = ALLOWED.get(f'{module.replace("__builtin__", "builtins")}.{name}')
        if replacement is None:
            return type(name, (Placeholder,), {'__module__': module})
        if isinstance(replacement, torch.dtype):
            return replacement
        # Return a new function each time, because a pickle can set attributes of functions and
        # classes that it gets.
        return lambda *arguments: replacement(*arguments)


# Stands in for the module pickle: pass it to torch.load as pickle_module.
SAFE_PICKLE = SimpleNamespace(
    __name__='pickle',
    Unpickler=SafeUnpickler,
    load=lambda file, **options: SafeUnpickler(file, **options).load(),
)


def remove_placeholders(value: Any, answers: dict[int, bool]) -> bool:
    """Remove dict entries with other values than :data:`DATA`, in place and in nested dicts.

    Return False if ``value`` itself must be removed, as lists, tuples and sets with such a value,
    since positions may have a meaning. Raise a RecursionError if a container contains itself.
    ``answers`` holds the results by the containers' ids, because a pickle can refer to a container
    any number of times.
    """
    if id(value) in answers:
        return answers[id(value)]
    if isinstance(value, dict):
        # A pickle can set attributes of subclasses of dict, such as ``items``. nn.Module needs
        # ``_metadata``.
        for name in {*getattr(value, '__dict__', ())} - {'_metadata'}:
            delattr(value, name)
        for key, item in list(value.items()):
            if not remove_placeholders(key, answers) or not remove_placeholders(item, answers):
                del value[key]
        is_data = True
    elif isinstance(value, list | tuple | set):
        is_data = all(remove_placeholders(item, answers) for item in value)
    else:
        return isinstance(value, DATA)
    answers[id(value)] = is_data
    return is_data
