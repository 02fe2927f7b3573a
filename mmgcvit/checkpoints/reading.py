"""Reading checkpoint files, wherever they are, without ever running code that they carry."""

import argparse
import json
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from packaging.version import Version

from .errors import CheckpointError
from .fetching import download, first_on_each_node
from .old_torch import load_restricted

TIMM_SCHEME = 'timm://'
ZIP = b'PK\x03\x04'


def allowed_globals() -> dict[str, Callable]:
    """What checkpoints may hold beside tensors and plain containers: names in files, and harmless classes behind them.

    Written by timm's trainer (its options, scores as NumPy numbers) and by mmengine's Runner (its log).
    """
    multiarray = np.core.multiarray if Version(np.__version__) < Version('2') else np._core.multiarray
    allowed: dict[str, Callable] = {
        'argparse.Namespace': argparse.Namespace,
        'mmengine.logging.history_buffer.HistoryBuffer': HistoryBuffer,
        'builtins.getattr': history_method,
        'pathlib.PosixPath': PurePosixPath,
        'numpy.ndarray': np.ndarray,
        'numpy.dtype': np.dtype,
        '_codecs.encode': __import__('_codecs').encode,
    }
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        allowed |= {f'{module}.scalar': multiarray.scalar, f'{module}._reconstruct': multiarray._reconstruct}
    for number in np.sctypeDict.values():
        if not issubclass(number, np.number | np.bool_):
            continue
        kind = type(np.dtype(number))
        allowed[f'{kind.__module__}.{kind.__qualname__}'] = kind
    return allowed


def history_method(owner: type, name: str) -> Any:
    """Stands for ``getattr`` in files: a HistoryBuffer, pickled, looks up its own methods, and nothing else may."""
    if owner is not HistoryBuffer or name.startswith('_'):
        raise pickle.UnpicklingError(f'GLOBAL getattr({owner!r}, {name!r}) is not allowed')
    return getattr(owner, name)


def read_checkpoint(source: str) -> Any:
    """Read a checkpoint: torch's formats and safetensors, recognised by content.

    Args:
        source: A file, an http(s) address, or ``timm://NAME`` for one of timm's pretrained models.

    Returns:
        What the file holds, tensors on the CPU.

    Raises:
        CheckpointError: There is no such file, it is damaged or no checkpoint, or reading it would run code.
    """
    if source.startswith(TIMM_SCHEME):
        return read_timm(source.removeprefix(TIMM_SCHEME))
    path = local_file(source)
    return read_safetensors(path) if is_safetensors(path) else read_torch(path)


def local_file(source: str) -> Path:
    """The file of a checkpoint, downloaded if it is an address.

    Raises:
        CheckpointError: There is none.
    """
    source = str(source)
    path = download(source) if source.startswith(('http://', 'https://')) else Path(source).expanduser()
    if not path.is_file():
        raise CheckpointError(f'there is no checkpoint {source}')
    return path


def read_torch(path: Path) -> Any:
    """Read a file of ``torch.save``; see :func:`read_checkpoint`."""
    try:
        return load_without_running_code(path)
    except Exception as error:  # A crafted or damaged file can make torch.load fail in any way.
        needed = re.search(r'GLOBAL ([\w.]+)', str(error))
        if needed:
            raise CheckpointError(
                f'{path} is refused: reading it needs {needed[1]}, which is not among the harmless things that '
                'checkpoints hold and could run code. If you trust the file, save its weights alone '
                "(torch.save(checkpoint['state_dict'], ...)) where it was made"
            ) from None
        raise CheckpointError(f'{path} {what_is_wrong_with(path, error)}') from None


def what_is_wrong_with(path: Path, error: Exception) -> str:
    """Why torch cannot read a file, judged by the file itself."""
    with path.open('rb') as file:
        head = file.read(len(ZIP))
    if not head:
        return 'is empty'
    if head != ZIP:
        return 'is no checkpoint: neither a file of torch.save nor safetensors'
    if not is_corrupt(path):
        return f'cannot be read without running code from it, or is no checkpoint: {str(error).splitlines()[0]}'
    return 'is damaged: it begins as a checkpoint, and then does not go on as one. Was it cut short? Fetch it again'


def is_corrupt(path: Path) -> bool:
    """Whether a file is no zip archive, or its content does not agree with its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is not None
    except Exception:
        return True


def load_without_running_code(path: Path) -> Any:
    """``torch.load`` that builds tensors, plain containers and :func:`allowed_globals`, nothing else."""
    if Version(torch.__version__) >= Version('2.7'):
        safe = [(kind, name) for name, kind in allowed_globals().items()]
        with torch.serialization.safe_globals(safe):
            return torch.load(path, map_location='cpu', weights_only=True)
    return load_restricted(path, allowed_globals())


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors files do: the length of a JSON header, then the header."""
    with path.open('rb') as file:
        head = file.read(9)
    return len(head) == 9 and struct.unpack('<Q', head[:8])[0] < path.stat().st_size and head[8:] == b'{'


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file; see :func:`read_checkpoint`."""
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise CheckpointError(f"{path} is a safetensors file; 'pip install safetensors' to read it") from None
    from safetensors import SafetensorError

    try:
        return load_file(path)
    except (SafetensorError, json.JSONDecodeError) as error:
        raise CheckpointError(f'{path} is damaged: {error}') from None


def read_timm(name: str) -> dict[str, torch.Tensor]:
    """The pretrained weights of one of timm's models."""
    try:
        import timm
    except ModuleNotFoundError:
        raise CheckpointError(f"{TIMM_SCHEME}{name} needs timm: 'pip install timm'") from None

    def fetch() -> dict[str, torch.Tensor]:
        try:
            return timm.create_model(name, pretrained=True).state_dict()
        except Exception as error:
            raise CheckpointError(f'timm could not give the pretrained model {name}: {error}') from error

    return first_on_each_node(fetch)
