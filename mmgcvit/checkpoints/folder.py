"""Save a backbone as a folder (``config.json`` and ``model.safetensors``), and read this config.json.

The keys of config.json are ``network`` (the name of a registered class), ``arguments`` (of its constructor),
``mmgcvit_version`` and ``model_type``. ``huggingface_hub.PyTorchModelHubMixin`` writes such folders too, but it would
make huggingface_hub a dependency, and it does not check that all weights are loaded.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import CheckpointError, get_first_line
from ..files import write_text
from ..version import __version__
from .converting import save_safetensors
from .weights import check_finite

CONFIG, WEIGHTS = 'config.json', 'model.safetensors'
FILES = [CONFIG, WEIGHTS]
MODEL_TYPE = 'mmgcvit'


def write_folder(
    folder: Path, network: str, arguments: dict[str, Any], tensors: Mapping[str, Tensor], overwrite: bool
) -> None:
    """Write the config and the weights of a backbone to a folder. ``network`` is the name of its registered class."""
    check_finite(tensors, 'the backbone')
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f'{folder} is a file. Choose a folder')
    existing = [name for name in FILES if (folder / name).exists()]
    if existing and not overwrite:
        raise FileExistsError(
            f'{folder} already has {" and ".join(existing)}. Choose another folder, or set overwrite=True to replace '
            'them'
        )
    save_safetensors(tensors, folder / WEIGHTS)
    content = {
        'arguments': arguments,
        'mmgcvit_version': __version__,
        'model_type': MODEL_TYPE,
        'network': network,
    }
    # Written last: if writing is interrupted, a new folder has no config.json and is rejected.
    write_text(folder / CONFIG, json.dumps(content, indent=2, sort_keys=True) + '\n')


def read_config(
    folder: Path, base: type[nn.Module], networks: Mapping[str, type[nn.Module]]
) -> tuple[type[nn.Module], dict[str, Any]]:
    """Read a folder's config.json. Return the network (by name in ``networks``) that it names, and its arguments.

    No code from the file runs, and it can name only these networks. mmengine would build any class that a ``type``
    names.

    Raises:
        CheckpointError: There is no config.json, it is invalid, or its class is neither ``base`` nor a subclass of it.
    """

    def check_type(entry: dict[str, Any]) -> dict[str, Any]:
        if 'type' in entry and entry['type'] not in networks:
            raise ValueError(f'it names the type {entry["type"]!r:.80}, which is not registered in mmgcvit')
        return entry

    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(
            f'{folder} has no {CONFIG}. Choose a folder that save_pretrained wrote, or a checkpoint file'
        )
    try:
        content = json.loads(path.read_text(encoding='utf-8'), object_hook=check_type)
        if content['model_type'] != MODEL_TYPE:
            raise ValueError(f'its model_type is {content["model_type"]!r:.80}')
        network, arguments = str(content['network']), {**content['arguments']}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = f'it has no key {error}' if isinstance(error, KeyError) else get_first_line(error)
        raise CheckpointError(
            f'{path} is not a config of mmgcvit: {reason}. Choose a folder that save_pretrained wrote'
        ) from None
    if network not in networks:
        raise CheckpointError(
            f'{path} names the network {network!r:.80}, which is not registered. Import the module that registers it, '
            'for example mmgcvit.models.ablations'
        )
    if not issubclass(networks[network], base):
        raise CheckpointError(f'{path} is for {network}, not for {base.__name__}. Use {network}.from_pretrained')
    return networks[network], arguments
