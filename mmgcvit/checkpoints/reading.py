"""Reading checkpoint files, wherever they are, as data: no code that they carry is ever run."""

import re
import struct
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, DamagedCheckpointError, first_line
from .fetching import download, first_on_each_node
from .torch_files import read_torch
from .wholeness import check_digest

TIMM_SCHEME = 'timm://'
ADDRESSES = ('http://', 'https://')
# Of the header of a safetensors file, which names its tensors. One takes 50 bytes there at least, and 1,400 of memory.
LARGEST_HEADER = 10 << 20


def read_checkpoint(source: str) -> Any:
    """Read a checkpoint: torch's formats and safetensors, recognised by content.

    What it holds is data: tensors, numbers, text, plain containers, and what :mod:`.kinds` lists.

    Args:
        source: A file, an http(s) address, or ``timm://NAME`` for one of timm's pretrained models.

    Returns:
        What the file holds, tensors on the CPU.

    Raises:
        CheckpointError: There is no such file, or it holds more than data.
        DamagedCheckpointError: It is torn, altered or no checkpoint.
    """
    if source.startswith(TIMM_SCHEME):
        return read_timm(source.removeprefix(TIMM_SCHEME))
    return read_file(local_file(source))


def read_trusted_checkpoint(source: str) -> Any:
    """Read a checkpoint of one's own as Python does: **code in it is run**.

    For files that hold objects of classes beyond :mod:`.kinds`. Damage is noticed as by :func:`read_checkpoint`.

    Raises:
        CheckpointError: There is no such file, or its classes cannot be imported here.
        DamagedCheckpointError: Its digest says that it was altered.
    """
    if source.startswith(TIMM_SCHEME):
        return read_checkpoint(source)
    path = local_file(source)
    check_digest(path)
    if is_safetensors(path):
        return read_safetensors(path)
    try:
        return torch.load(path, map_location='cpu', weights_only=False)
    except Exception as error:  # Whatever the code in it does.
        raise CheckpointError(f'{path} cannot be read, trusted as it is: {first_line(error)}') from error


def local_file(source: str) -> Path:
    """The file of a checkpoint, downloaded if it is an address.

    Raises:
        CheckpointError: There is none.
    """
    source = str(source)
    path = download(source, check=read_file) if source.startswith(ADDRESSES) else Path(source).expanduser()
    if not path.is_file():
        raise CheckpointError(f'there is no checkpoint {source}')
    return path


def read_file(path: Path) -> Any:
    """Read a file; see :func:`read_checkpoint`."""
    check_digest(path)
    return read_safetensors(path) if is_safetensors(path) else read_torch(path)


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors files do: the length of a JSON header, then the header."""
    with path.open('rb') as file:
        head = file.read(9)
    return len(head) == 9 and length_of_header(path) < path.stat().st_size and head[8:] == b'{'


def length_of_header(path: Path) -> int:
    """What a safetensors file says of the length of its header, bytes."""
    with path.open('rb') as file:
        return struct.unpack('<Q', file.read(8))[0]


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file; see :func:`read_checkpoint`."""
    try:
        from safetensors.torch import load_file
    except ModuleNotFoundError:
        raise CheckpointError(f"{path} is a safetensors file; 'pip install safetensors' to read it") from None
    if length_of_header(path) > LARGEST_HEADER:
        raise CheckpointError(f'{path} is refused: its header is larger than {LARGEST_HEADER:,} bytes')
    try:
        return load_file(path)
    except Exception as error:  # Beside its own errors those of json, and KeyErrors for dtypes that torch lacks.
        raise DamagedCheckpointError(f'{path} is damaged: {first_line(error)}') from None


def read_timm(name: str) -> dict[str, torch.Tensor]:
    """The pretrained weights of one of timm's own models.

    Raises:
        CheckpointError: timm has no such model, or cannot give its weights.
    """
    # timm takes 'hf-hub:ANYONE/ANYTHING' and 'local-dir:...' too, and reads them in its own way.
    if not re.fullmatch(r'[\w.]+', name):
        raise CheckpointError(f"{TIMM_SCHEME}{name} is no name of a model of timm's, as {TIMM_SCHEME}gcvit_tiny is")
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
