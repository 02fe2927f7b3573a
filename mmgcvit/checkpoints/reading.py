"""Read checkpoints of torch, safetensors and timm, from disk or the network, without running code
from them.
"""

import hashlib
import logging
import os
import re
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import torch
from filelock import FileLock
from mmengine.logging import print_log

from ..errors import CheckpointError, check_installed, escape_controls, get_first_line
from ..files import is_url, write_atomically
from .unpickling import SAFE_PICKLE, remove_placeholders

TIMM_SCHEME = 'timm://'
# torch and OpenMMLab end file names with the first digits of the file's SHA-256.
HASH_IN_NAME = re.compile(r'-([0-9a-f]{8,})\.\w+$')
ADVICE = 'It is probably incomplete. Copy or download it again'
# What limits the use of weights, by a regular expression of the paths, URLs and names under which
# they are found.
LIMITS = {
    # GC ViT's authors': their pages and files, timm's copies (all that timm:// reads), and Hugging
    # Face's cache.
    r'^timm:|^https?://[^/]+/(nvidia/|nvlabs/gcvit|timm/gcvit)|models--(nvidia--|timm--gcvit)|gcvit_\w+\.in1k(/[^/]*)?$|'
    r'gcvit_2?1k[^/]*$|nvidia[^/]*$': 'not for commercial use',
    r'nvimagenet[^/]*$|dino_gcvit_tiny\d*_ep\d+[^/]*$|ngc\.nvidia\.com/': (
        "NVIDIA TAO's, said to be not for commercial use: read their model card"
    ),
}


def read_checkpoint(source: str | Path, map_location: Any = 'cpu') -> Any:
    """Read a checkpoint of torch or safetensors: a file, an http(s) URL, or ``timm://NAME`` for one
    of timm's GC ViTs.

    Only tensors, numbers, strings and plain containers are read. Objects of other classes are
    removed, and no code that the file names runs. Raise a CheckpointError if the file does not
    exist, is damaged, or is not a checkpoint. ``map_location`` is that of ``torch.load``, and
    applies only to torch's files.
    """
    source = str(source)
    if limit := find_limit(source):
        print_log(f'The weights {escape_controls(source)} are {limit}', 'current', logging.WARNING)
    if source.startswith(TIMM_SCHEME):
        return read_timm(source.removeprefix(TIMM_SCHEME))
    path = resolve_file(source)
    check_intact(path)
    return read_safetensors(path) if is_safetensors(path) else read_torch(path, map_location)


def find_limit(source: str) -> str | None:
    """Return what limits the use of weights according to their path, also that of a link's file, or
    URL. Or None.
    """
    path = source if '://' in source else os.path.realpath(Path(source).expanduser())
    found = (
        limit
        for name in (source, path)
        for x, limit in LIMITS.items()
        if re.search(x, name, re.IGNORECASE)
    )
    return next(found, None)


def resolve_file(source: str) -> Path:
    """Return the path of a file, or download a URL."""
    path = download(source) if is_url(source) else Path(source).expanduser()
    if not path.is_file():
        raise CheckpointError(
            f'there is no checkpoint {source}. Expected a file on this machine, or an http(s) URL'
        )
    return path


def check_intact(path: Path) -> None:
    """Verify the CRC-32 checksums in a file of ``torch.save``, which ``torch.load`` does not
    verify.

    Safetensors files and files of torch before 1.6 have none: reading them detects only a wrong
    length. Raise a CheckpointError if the file is damaged, or is not a checkpoint.
    """
    with path.open('rb') as file:
        head = file.read(2)
        if not head.startswith((b'PK', b'\x80')) and not is_safetensors(path):
            reason = 'not a checkpoint, because neither torch.save nor safetensors wrote it. Use another file'
            raise CheckpointError(
                f'{path} is {reason if head else "empty. Copy or download it again"}'
            )
        if head != b'PK':
            return
        file.seek(0)
        try:
            with zipfile.ZipFile(path) as archive:
                checksums = {
                    info.filename.partition('/')[2]: info.CRC for info in archive.infolist()
                }
            # The two libraries can find different records in a crafted file. So compare zipfile's
            # checksums with the records that torch reads.
            reader = torch._C.PyTorchFileReader(file)
            names = reader.get_all_records()
            damaged = next(
                (name for name in names if zlib.crc32(reader.get_record(name)) != checksums[name]),
                None,
            )
        except (
            Exception
        ) as error:  # zipfile and torch raise their own errors, and those of zlib and struct.
            damaged = get_first_line(error)
    if damaged is not None:
        raise CheckpointError(f'{path} is damaged ({damaged}). {ADVICE}')


def is_safetensors(path: Path) -> bool:
    """Return whether a file begins like a safetensors file: with the length of a JSON header and
    the header.
    """
    with path.open('rb') as file:
        head = file.read(9)
    return head[8:] == b'{' and int.from_bytes(head[:8], 'little') < path.stat().st_size


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    check_installed(f'reading {path}', 'safetensors')
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (
        Exception
    ) as error:  # safetensors raises its own errors, and KeyError for dtypes that torch lacks.
        raise CheckpointError(f'{path} is damaged ({get_first_line(error)}). {ADVICE}') from None


def read_torch(path: Path, map_location: Any) -> Any:
    """Read a file of ``torch.save`` without running code in it."""
    try:
        # Pass the open file, because torch.load passes a path that ends in .safetensors to another
        # reader.
        with path.open('rb') as file:
            archive = find_unsafe_archive(file)
            content = archive or torch.load(file, map_location, SAFE_PICKLE, weights_only=False)
        is_data = remove_placeholders(content)
    except Exception as error:  # A damaged or crafted pickle can raise anything.
        reason, advice = (
            get_first_line(error),
            'If it is a checkpoint, it is damaged: copy or download it again',
        )
        raise CheckpointError(f'{path} cannot be read by torch ({reason}). {advice}') from None
    if archive is None and is_data:
        return content
    name = type(content).__name__
    found = (
        f'a {name} of other objects'
        if name in ('list', 'tuple', 'set')
        else f'an object of the class {name}'
    )
    allowed = 'Only tensors, numbers, texts, lists and dicts are read, because other classes could run code'
    problem = f'contains {found}. {allowed}'
    if archive:
        problem = f'is {archive}, which can run code or write files when torch loads it'
    advice = 'Save only the weights in the program that wrote the file: torch.save(model.state_dict(), FILE)'
    raise CheckpointError(f'{path} {problem}. {advice}')


def find_unsafe_archive(file: BinaryIO) -> str | None:
    """Return the name of an archive (TorchScript, tar) that ``torch.load`` reads without
    ``pickle_module``, or None.
    """
    is_zip = file.read(4) == b'PK\x03\x04'
    file.seek(0)
    if is_zip:
        is_archive = 'constants.pkl' in torch._C.PyTorchFileReader(file).get_all_records()
    else:
        is_archive = tarfile.is_tarfile(file)
    file.seek(0)
    return f'a {"TorchScript" if is_zip else "tar"} archive' if is_archive else None


def download(url: str) -> Path:
    """Download a checkpoint, unless it is in torch's cache (``TORCH_HOME``), and return its path
    there.

    A file lock lets one process download while the others wait, because collective operations of
    ``torch.distributed`` would time out. If the URL ends with the first digits of the SHA-256, they
    are verified.
    """
    path = get_cache_path(url)
    digest = HASH_IN_NAME.search(path.name)
    try:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f'{path}.lock'):
                if not path.is_file():
                    with write_atomically(path) as new:
                        torch.hub.download_url_to_file(
                            url, str(new), digest and digest[1], progress=False
                        )
                        check_intact(new)
    except CheckpointError as error:
        reason = str(error).removeprefix(f'{new} ')
        raise CheckpointError(
            f'the file at {url} {reason}. Its downloaded copy was removed. Check the URL'
        ) from None
    except Exception as error:  # The network, the server or the disk failed, or the URL is wrong.
        problem = f'{url} could not be downloaded ({get_first_line(error)})'
        advice = 'Download it with a browser, and pass the file instead of the URL (train --data: --pretrained FILE)'
        raise CheckpointError(f'{problem}. {advice}') from None
    return path


def get_cache_path(url: str) -> Path:
    """Return the path of a URL's file in torch's cache, named by the last part of the URL, as in
    ``torch.hub``.
    """
    name = PurePosixPath(urlsplit(url).path).name
    if HASH_IN_NAME.search(name) is None:  # many URLs end in model.pth
        name = f'{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name[-100:]}'
    return Path(torch.hub.get_dir()) / 'checkpoints' / name


def read_timm(name: str) -> dict[str, torch.Tensor]:
    """Return the pretrained weights of one of timm's GC ViTs, which timm downloads."""
    check_installed(f'{TIMM_SCHEME}{name}', 'timm')
    import timm

    # timm.create_model also accepts 'hf-hub:OWNER/NAME', but only timm's own GC ViTs have the
    # expected keys.
    model_names = timm.list_models('gcvit_*', pretrained=True)
    if name not in {*model_names, *(tagged.partition('.')[0] for tagged in model_names)}:
        raise CheckpointError(
            f'timm has no pretrained GC ViT called {name}. Choose one of {", ".join(model_names)}'
        )
    try:
        return timm.create_model(name, pretrained=True).state_dict()
    except Exception as error:  # The network, the server or the disk failed.
        reason = get_first_line(error)
        raise CheckpointError(
            f'timm could not load {name} ({reason}). Check the network connection'
        ) from error
