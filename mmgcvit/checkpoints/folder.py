"""A backbone as a folder: ``config.json`` says how it is built, ``model.safetensors`` has its weights.

config.json has four keys: ``network``, a registered class; ``arguments``, those of its constructor;
``mmgcvit_version``, which wrote it; and ``model_type``. ``huggingface_hub.PyTorchModelHubMixin`` writes such folders
too, but backbones would need huggingface_hub to be imported, and it does not check that all weights are loaded.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..errors import CheckpointError, get_first_line
from ..files import write_text
from ..registry import list_networks
from ..version import __version__
from .weights import check_finite
from .writing import save_safetensors

CONFIG, WEIGHTS = 'config.json', 'model.safetensors'
FILES = [CONFIG, WEIGHTS]
MODEL_TYPE = 'mmgcvit'


def plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """A constructor's arguments as JSON has them: sequences as lists, NumPy's numbers as Python's; or a TypeError."""

    def convert(value: Any) -> Any:
        if hasattr(value, 'tolist') or isinstance(value, Sequence):
            return value.tolist() if hasattr(value, 'tolist') else list(value)
        raise TypeError(f'{value!r} in {arguments}: {CONFIG} takes numbers, text, None, lists and dicts of them')

    return json.loads(json.dumps(arguments, default=convert))


def write_folder(
    folder: Path, network: str, arguments: dict[str, Any], tensors: Mapping[str, Tensor], overwrite: bool
) -> None:
    """Write a backbone's folder; its class is registered under the name ``network``."""
    check_finite(tensors, 'the backbone')
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f'{folder} is a file; name a folder')
    found = [name for name in FILES if (folder / name).exists()]
    if found and not overwrite:
        raise FileExistsError(
            f'{folder} has {" and ".join(found)} already; name another folder, or replace them with overwrite=True'
        )
    save_safetensors(tensors, folder / WEIGHTS)
    content = {
        'arguments': arguments,
        'mmgcvit_version': __version__,
        'model_type': MODEL_TYPE,
        'network': network,
    }
    # A folder without config.json is refused, so that one cut short here is not taken for a whole one.
    write_text(folder / CONFIG, json.dumps(content, indent=2, sort_keys=True) + '\n')


def read_config(folder: Path, base: type[nn.Module]) -> tuple[type[nn.Module], dict[str, Any]]:
    """The registered class, ``base`` or derived from it, and the constructor's arguments that a config.json names.

    Nothing in the file is run, and it can name no class but a registered network.

    Raises:
        CheckpointError: There is no such file, or it does not say how to build a ``base``.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f'there is no {CONFIG} in {folder}, which save_pretrained writes; or name a file')
    try:
        content = json.loads(path.read_text(encoding='utf-8'), object_hook=check_type)
        if content['model_type'] != MODEL_TYPE:
            raise ValueError(f'its model_type is {content["model_type"]!r:.80}')
        network, arguments = str(content['network']), {**content['arguments']}
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f'{path} is not a config of mmgcvit: {get_first_line(error)}') from None
    if network not in list_networks():
        raise CheckpointError(
            f'{path} names the network {network!r:.80}, which is not registered; import the module that registers it, '
            'as mmgcvit.models.ablations for the networks of the ablations'
        )
    if not issubclass(list_networks()[network], base):
        raise CheckpointError(f'{path} is of a {network}; the model is {base.__name__}')
    return list_networks()[network], arguments


def check_type(entry: dict[str, Any]) -> dict[str, Any]:
    """Reject a JSON object whose ``type`` is not a registered network: mmengine would look up and build any class."""
    if 'type' in entry and entry['type'] not in list_networks():
        raise ValueError(f'it names the type {entry["type"]!r:.80}, which is not registered in mmgcvit')
    return entry
