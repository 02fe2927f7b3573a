"""Read checkpoint files as data: torch's formats, safetensors and timm's models, from disk or the network."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, check_installed, get_first_line
from ..files import URL_SCHEMES
from .downloads import download
from .unpickling import SAFE_PICKLE, remove_inert

TIMM_SCHEME = 'timm://'
ADVICE = 'It may be truncated: copy or download it again'


def read_checkpoint(source: str | Path, trusted: bool = False, map_location: Any = 'cpu') -> Any:
    """Read a checkpoint of torch or safetensors, recognised by its content.

    Tensors, numbers, text and plain containers come out. Objects of other classes are left out, and no code that a
    file names runs.

    Args:
        source: A file, an http(s) address, or ``timm://NAME`` for one of timm's pretrained GC ViTs.
        trusted: Read the file as Python does, **running code in it**: for files of your own whose weights lie within
            objects of other classes.
        map_location: As for ``torch.load``, for files of torch; other tensors are on the CPU.

    Returns:
        What the file holds.

    Raises:
        CheckpointError: The file does not exist, is damaged, or is not a checkpoint.
    """
    source = str(source)
    if source.startswith(TIMM_SCHEME):
        return read_timm(source.removeprefix(TIMM_SCHEME))
    path = resolve_file(source)
    check_intact(path)
    return read_safetensors(path) if is_safetensors(path) else read_torch(path, map_location, trusted)


def read_meta(source: str | Path) -> dict[str, Any]:
    """The ``meta`` of a checkpoint of mmengine, read without the values of tensors; empty for any other file."""
    path = None if str(source).startswith(TIMM_SCHEME) else resolve_file(source)
    content = None if path is None or is_safetensors(path) else read_torch(path, 'meta')
    meta = content.get('meta') if isinstance(content, dict) else None
    return meta if isinstance(meta, dict) else {}


def resolve_file(source: str | Path) -> Path:
    """The file of a checkpoint, downloaded if it is an address."""
    is_address = str(source).startswith(URL_SCHEMES)
    path = download(str(source), check_intact) if is_address else Path(source).expanduser()
    if not path.is_file():
        raise CheckpointError(f'there is no checkpoint {source}')
    return path


def check_intact(path: Path) -> None:
    """Compare a file of ``torch.save`` with the CRC-32 checksums that torch writes into it, without loading it.

    torch itself does not look at them. Safetensors and files of torch before 1.6 have no checksums: of these only a
    wrong length is found, when they are read.

    Raises:
        CheckpointError: The file does not exist, is damaged, or is not a checkpoint.
    """
    if not path.is_file():
        raise CheckpointError(f'there is no checkpoint {path}')
    with path.open('rb') as file:
        head = file.read(2)
    if not head.startswith((b'PK', b'\x80')) and not is_safetensors(path):
        what = 'not a checkpoint: neither a file of torch.save nor safetensors' if head else 'empty'
        raise CheckpointError(f'{path} is {what}')
    if head != b'PK':
        return
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # zipfile raises its own errors, and those of zlib and struct.
        damaged = get_first_line(error)
    if damaged is not None:
        raise CheckpointError(f'{path} is damaged ({damaged}). {ADVICE}')


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors files do: the length of a JSON header, then the header."""
    with path.open('rb') as file:
        head = file.read(9)
    return head[8:] == b'{' and int.from_bytes(head[:8], 'little') < path.stat().st_size


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    check_installed(f'reading {path}', 'safetensors')
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # Its own errors, and KeyErrors for dtypes that torch lacks.
        raise CheckpointError(f'{path} is damaged ({get_first_line(error)}). {ADVICE}') from None


def read_torch(path: Path, map_location: Any, trusted: bool = False) -> Any:
    """Read a file of ``torch.save``, without running code unless it is trusted."""
    try:
        content = torch.load(path, map_location, None if trusted else SAFE_PICKLE, weights_only=False)
        is_data = trusted or remove_inert(content)
    except Exception as error:  # A damaged or crafted pickle can raise anything, and so can trusted code.
        raise CheckpointError(
            f'{path} is damaged, or not a checkpoint of torch or safetensors ({get_first_line(error)}). {ADVICE}'
        ) from None
    if not is_data:
        raise CheckpointError(
            f'{path} holds objects of other classes than tensors and plain containers ({type(content).__name__}), '
            'which could run code. If the file is your own, use --trust-checkpoint, or save its weights alone where it '
            "was made (torch.save(checkpoint['state_dict'], ...))"
        )
    return content


def read_timm(name: str) -> dict[str, torch.Tensor]:
    """The pretrained weights of one of timm's GC ViTs, which timm downloads."""
    check_installed(f'{TIMM_SCHEME}{name}', 'timm')
    import timm

    # timm also takes 'hf-hub:ANYONE/ANYTHING', whose weights would not fit.
    known = timm.list_models('gcvit_*', pretrained=True)
    if name not in {*known, *(tagged.partition('.')[0] for tagged in known)}:
        raise CheckpointError(f"{TIMM_SCHEME}{name} is not one of timm's GC ViTs: {', '.join(known)}")
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # The network, the server, the disk.
        raise CheckpointError(f'timm could not load the pretrained model {name}: {get_first_line(error)}') from error
