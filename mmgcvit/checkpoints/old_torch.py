"""Loading without running code on torch before 2.7, whose ``weights_only`` takes no names beyond its own.

To be removed once the project needs torch 2.7.
"""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import torch

# What torch.save itself writes for tensors, and later versions of torch allow besides.
TORCH_GLOBALS = {
    'builtins.bytearray',
    'builtins.complex',
    'builtins.set',
    'collections.Counter',
    'collections.OrderedDict',
    'torch._utils._rebuild_tensor_v2',
    'torch._utils._rebuild_parameter',
    'torch.Size',
    'torch.device',
    *(f'torch.{kind}Storage' for kind in ('Float', 'Double', 'Half', 'BFloat16', 'Long', 'Int', 'Byte', 'Bool')),
    *(f'torch.{kind}' for kind in ('float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'uint8', 'bool')),
}

# Names of modules in files of pickle protocol 2.
PYTHON_2_MODULES = {'__builtin__': 'builtins', 'copy_reg': 'copyreg'}


def load_restricted(path: Path, allowed: dict[str, Callable]) -> Any:
    """``torch.load`` that looks up allowed names only.

    Args:
        path: A file of ``torch.save``.
        allowed: Names in files, and what they stand for, beside what torch writes for tensors.

    Raises:
        pickle.UnpicklingError: It needs other names, or is a TorchScript program, which torch would load as one.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith('/constants.pkl') for name in archive.namelist()):
                raise pickle.UnpicklingError('it is a TorchScript program')
    return torch.load(path, map_location='cpu', pickle_module=RestrictedPickle(allowed))


class RestrictedPickle:
    """A stand-in for the module ``pickle``, for torch.load's ``pickle_module``, that looks up allowed names only.

    Args:
        allowed: Names in files, and what they stand for, beside what torch writes for tensors.
    """

    def __init__(self, allowed: dict[str, Callable]) -> None:
        class Unpickler(pickle.Unpickler):
            def find_class(self, module: str, name: str) -> Any:
                full_name = f'{PYTHON_2_MODULES.get(module, module)}.{name}'
                if full_name in allowed:
                    return allowed[full_name]
                if full_name in TORCH_GLOBALS:
                    return super().find_class(module, name)
                raise pickle.UnpicklingError(f'GLOBAL {full_name} is not allowed')

        self.Unpickler = Unpickler
        self.__name__ = pickle.__name__

    def load(self, file: IO[bytes], **options: Any) -> Any:
        return self.Unpickler(file, **options).load()
