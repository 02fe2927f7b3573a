"""Read checkpoints of torch and safetensors without running code from them.

:mod:`.downloading` finds the file, :mod:`.intact` checks it, and :mod:`.unpickling` keeps it from
running code.
"""

import os
import tarfile
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError
from ..host.private_api import list_archived_records
from ..host.runners import log_warning
from ..ops.requirements import check_installed
from .downloading import resolve_file
from .intact import ADVICE, check_intact, is_safetensors, is_zip, raise_checkpoint_error
from .licences import find_limit
from .translating import StateDict
from .unpickling import SAFE_PICKLE, remove_placeholders

SAVE_WEIGHTS = (
    'Save only the weights in the program that wrote the file: torch.save(model.state_dict(), FILE)'
)
FORCE_VARIABLE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'


def read_checkpoint(source: str | Path) -> Any:
    """Read a checkpoint of torch or safetensors: a file, an http(s) URL, or ``timm://NAME`` for one
    of timm's GC ViTs.

    Only tensors (to the CPU), numbers, strings and plain containers are read. Objects of other
    classes are removed, and no code that the file names runs. Raise a CheckpointError if the file
    does not exist, is damaged, or is not a checkpoint.
    """
    source = str(source)
    limit = find_limit(source)
    if limit:
        log_warning(f'The weights {source} are {limit}')
    path = resolve_file(source)
    check_intact(path)
    return read_safetensors(path) if is_safetensors(path) else read_torch(path)


def read_metadata(path: Path) -> dict[str, str]:
    """Read the metadata of a safetensors file, or return none for a checkpoint of torch."""
    if not is_safetensors(path):
        return {}
    check_installed(f'reading {path}', 'safetensors')
    from safetensors import safe_open

    with raise_checkpoint_error(f'{path} is damaged', ADVICE), safe_open(path, 'pt') as file:
        return file.metadata() or {}


def is_other_archive(path: Path) -> bool:
    """Return whether ``torch.load`` would read a file without ``pickle_module``: TorchScript or
    tar.
    """
    if is_zip(path):
        return 'constants.pkl' in list_archived_records(path)
    return tarfile.is_tarfile(path)


def read_safetensors(path: Path) -> StateDict:
    """Read the tensors of a safetensors file."""
    check_installed(f'reading {path}', 'safetensors')
    from safetensors.torch import load_file

    with raise_checkpoint_error(f'{path} is damaged', ADVICE):
        return load_file(path)


def read_torch(path: Path) -> Any:
    """Read a file of ``torch.save`` without running code in it."""
    problem = f'{path} cannot be read by torch'
    advice = 'If it is a checkpoint, it is damaged: copy or download it again'
    with raise_checkpoint_error(problem, advice):
        is_other = is_other_archive(path)
    if is_other:
        raise CheckpointError(
            f'{path} is a TorchScript or tar archive, which can run code or write files when torch '
            f'loads it. {SAVE_WEIGHTS}'
        )
    reader: dict[str, Any] = {'pickle_module': SAFE_PICKLE, 'weights_only': False}
    if os.environ.get(FORCE_VARIABLE, '').lower() in ('1', 'y', 'yes', 'true'):
        # torch rejects every other reader of pickles than its own, which takes fewer classes.
        reader = {'weights_only': True}
        advice += f'. Else unset {FORCE_VARIABLE}: no code of the file runs without it either'
    # Pass the open file, because torch.load passes a path that ends in .safetensors to another
    # reader.
    with raise_checkpoint_error(problem, advice), path.open('rb') as file:
        content = torch.load(file, 'cpu', **reader)
        is_data = remove_placeholders(content, {})
    if not is_data:
        raise CheckpointError(
            f'{path} contains a {type(content).__name__} that is not only tensors, numbers, texts, '
            f'lists and dicts, because other classes could run code. {SAVE_WEIGHTS}'
        )
    return content
