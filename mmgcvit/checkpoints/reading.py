"""Reading checkpoint files, wherever they are, as data: no code that they carry is ever run."""

from contextlib import suppress
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError, DamagedCheckpointError, first_line, meant
from ..files import ADDRESSES
from .downloads import download, first_on_each_node
from .integrity import check_content, digest_in
from .torch_files import read_torch

TIMM_SCHEME = 'timm://'


def read_checkpoint(source: str, checked: bool = False) -> Any:
    """Read a checkpoint: torch's formats and safetensors, recognised by content.

    What comes out is data: tensors, numbers, text and plain containers. Objects of other classes are left out, and no
    code that a file names is run.

    Args:
        source: A file, an http(s) address, or ``timm://NAME`` for one of timm's pretrained GC ViTs.
        checked: That it is whole has been found before: a file with a digest inside is mapped, for whoever does not
            write into it while the tensors are in use.

    Returns:
        What the file holds, tensors on the CPU.

    Raises:
        CheckpointError: There is no such file, or it holds no data.
        DamagedCheckpointError: It is torn, altered or no checkpoint.
    """
    if source.startswith(TIMM_SCHEME):
        return read_timm(source.removeprefix(TIMM_SCHEME))
    return read_file(local_file(source), checked)


def read_trusted_checkpoint(source: str) -> Any:
    """Read a checkpoint of one's own as Python does: **code in it is run**.

    For files whose weights lie within objects of other classes. Damage is noticed as by :func:`read_checkpoint`.

    Args:
        source: See :func:`read_checkpoint`.

    Raises:
        CheckpointError: There is no such file, or its classes cannot be imported here.
        DamagedCheckpointError: Its digest or checksums say that it was altered.
    """
    if source.startswith(TIMM_SCHEME):
        return read_checkpoint(source)
    path = local_file(source)
    check_content(path)
    if is_safetensors(path):
        return read_safetensors(path)
    try:
        return torch.load(path, map_location='cpu', weights_only=False)
    except Exception as error:  # Whatever the code in it does.
        raise CheckpointError(f'{path} cannot be read, trusted as it is: {first_line(error)}') from error


def local_file(source: str) -> Path:
    """The file of a checkpoint, downloaded if it is an address."""
    source = str(source)
    path = download(source, check=read_file) if source.startswith(ADDRESSES) else Path(source).expanduser()
    if not path.is_file():
        raise CheckpointError(f'there is no checkpoint {source}')
    return path


def read_file(path: Path, checked: bool = False) -> Any:
    """Read a file of either format; see :func:`read_checkpoint`."""
    if not checked:
        check_content(path)
    if is_safetensors(path):
        return read_safetensors(path)
    mapped = False
    if checked and digest_in(path):
        # For this process alone, as torch does it; not on every file system.
        with suppress(OSError), path.open('rb') as file, mmap(file.fileno(), 1, access=ACCESS_COPY):
            mapped = True
    return read_torch(path, mapped=mapped)


def read_outline(source: str) -> dict[str, Any]:
    """A checkpoint of mmengine's without the numbers of its tensors, ``meta`` a dict; of another file that alone."""
    path = None if source.startswith(TIMM_SCHEME) else local_file(source)
    content = None if path is None or is_safetensors(path) else read_torch(path, with_numbers=False)
    is_mmengines = isinstance(content, dict) and isinstance(content.get('meta'), dict)
    return content if is_mmengines else {'meta': {}}


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as safetensors files do: the length of a JSON header, then the header."""
    with path.open('rb') as file:
        head = file.read(9)
    return head[8:] == b'{' and int.from_bytes(head[:8], 'little') < path.stat().st_size


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file; see :func:`read_checkpoint`."""
    try:
        from safetensors.torch import load, load_file
    except ModuleNotFoundError:
        raise CheckpointError(f"{path} is a safetensors file; 'pip install safetensors' to read it") from None
    try:
        try:
            return load_file(path)
        except OSError:  # Not every file system has files mapped into memory.
            return load(path.read_bytes())
    except Exception as error:  # Beside its own errors those of json, and KeyErrors for dtypes that torch lacks.
        raise DamagedCheckpointError(f'{path} is damaged: {first_line(error)}') from None


def read_timm(name: str) -> dict[str, torch.Tensor]:
    """The pretrained weights of one of timm's GC ViTs."""
    try:
        import timm
    except ModuleNotFoundError:
        raise CheckpointError(f"{TIMM_SCHEME}{name} needs timm: 'pip install timm'") from None
    # Of others the weights do not fit, and timm asks for them for a minute. It takes 'hf-hub:ANYONE/ANYTHING' too.
    tagged = timm.list_models('gcvit_*', pretrained=True)
    plain = [known.partition('.')[0] for known in tagged]
    if name not in (*plain, *tagged):
        instead = meant(name, plain, lambda known: f'{TIMM_SCHEME}{known}')
        raise CheckpointError(f"{TIMM_SCHEME}{name} is no GC ViT of timm's; there are {', '.join(plain)}{instead}")

    def fetch() -> dict[str, torch.Tensor]:
        try:
            return timm.create_model(name, pretrained=True).state_dict()
        except Exception as error:
            raise CheckpointError(f'timm could not give the pretrained model {name}: {error}') from error

    return first_on_each_node(fetch)
