"""A backbone as a folder: ``config.json`` says how it is built, ``model.safetensors`` has its weights.

config.json is an object of four keys: ``network``, a registered class; ``arguments``, those of its constructor;
``mmgcvit_version``, which wrote it; and ``model_type``, as the Hub's folders have one. Nothing in it is run, and it can
name no class but the registered networks.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from packaging.version import InvalidVersion, Version
from torch import Tensor, nn

from ..errors import CheckpointError, first_line, shorten
from ..files import written_together
from ..registry import networks
from ..version import __version__
from .integrity import beside, digest_line, write_safetensors
from .weights import check_numbers, read_weights

CONFIG, WEIGHTS = 'config.json', 'model.safetensors'
FILES = [CONFIG, WEIGHTS, f'{WEIGHTS}.sha256']
MODEL_TYPE = 'mmgcvit'
KEYS = ('arguments', 'mmgcvit_version', 'model_type', 'network')
LARGEST_CONFIG = 1 << 16


def plain(value: Any, name: str) -> Any:
    """A constructor's argument as JSON has it, sequences as lists, NumPy's numbers as Python's; or a TypeError."""
    value = value.tolist() if hasattr(value, 'tolist') else value
    if value is None or isinstance(value, bool | int | str) or (isinstance(value, float) and isfinite(value)):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(item, name) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain(item, name) for item in value]
    raise TypeError(
        f'{name} was given {value!r}, and {CONFIG} takes finite numbers, text, None, lists and dicts of them; build '
        'the backbone with such'
    )


def write_folder(
    folder: Path, network: str, arguments: dict[str, Any], tensors: Mapping[str, Tensor], overwrite: bool
) -> None:
    """Write a backbone's folder whole or not at all; its class is registered by that name."""
    if find_spec('safetensors') is None:
        raise CheckpointError(f"writing {folder / WEIGHTS} needs safetensors: 'pip install safetensors'")
    check_numbers(tensors, 'the backbone')
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f'{folder} is a file; name a folder')
    found = [name for name in (CONFIG, WEIGHTS) if (folder / name).exists()]
    if found and not overwrite:
        raise FileExistsError(
            f'{folder} has {" and ".join(found)} already; name another folder, or replace them with overwrite=True'
        )
    content = dict(zip(KEYS, (arguments, __version__, MODEL_TYPE, network), strict=True))
    # A folder without config.json is refused: what is killed here is never taken for a whole one.
    with written_together(folder / WEIGHTS, beside(folder / WEIGHTS), folder / CONFIG) as (weights, record, described):
        write_safetensors(tensors, weights, {'format': 'pt'})
        record.write_text(digest_line(weights, WEIGHTS))
        described.write_text(json.dumps(content, indent=2, sort_keys=True) + '\n')


def config_in(content: Any, source: str, base: type[nn.Module]) -> tuple[type[nn.Module], dict[str, Any]]:
    """The registered class, a base or derived from it, and the arguments that a config.json names.

    Refused if it is a later version's, or would do more than build a backbone.
    """
    if not isinstance(content, dict) or content.get('model_type') != MODEL_TYPE:
        raise CheckpointError(f'{source} is no config of mmgcvit: its model_type is not {MODEL_TYPE!r}')
    missing = [key for key in KEYS if key not in content]
    unknown = sorted(set(content) - set(KEYS))
    if missing or unknown:
        raise CheckpointError(f'{source}: unknown keys {unknown}, missing keys {missing}; the keys are {list(KEYS)}')
    version = content['mmgcvit_version']
    try:
        is_later = Version(version) > Version(__version__)
    except (InvalidVersion, TypeError):
        raise CheckpointError(
            f'{source}: mmgcvit_version is {version!r:.80}; expected one such as {__version__!r}'
        ) from None
    if is_later:
        raise CheckpointError(
            f'{source} was written by mmgcvit {version}, and this is {__version__}; install that version'
        )
    network, arguments = content['network'], content['arguments']
    if not isinstance(network, str) or not isinstance(arguments, dict):
        raise CheckpointError(f'{source}: network must be a name, and arguments an object')
    if 'init_cfg' in arguments:
        raise CheckpointError(f'{source}: arguments must not have init_cfg; the weights are in {WEIGHTS}')
    waiting: list[Any] = [arguments]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            named = value.get('type')
            # A dotted path would name anything.
            if named is not None and (not isinstance(named, str) or named not in networks()):
                raise CheckpointError(f'{source} names a type {named!r:.80}, which is not registered in mmgcvit')
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    if network not in networks():
        raise CheckpointError(
            f'{source} names the network {network!r:.80}, which is not registered; import what '
            'registers it, as mmgcvit.models.ablations does those of the ablations'
        )
    if not issubclass(networks()[network], base):
        raise CheckpointError(f'{source} is of a {networks()[network].__name__}; the model is {base.__name__}')
    return networks()[network], arguments


def read_config(folder: Path, base: type[nn.Module]) -> tuple[type[nn.Module], dict[str, Any]]:
    """What a folder's config.json says, if it is one that :func:`write_folder` writes; see :func:`config_in`."""
    path = folder / CONFIG
    if not path.is_file():
        raise CheckpointError(f'there is no {CONFIG} in {folder}, which save_pretrained writes; or name a file')
    if path.stat().st_size > LARGEST_CONFIG:
        raise CheckpointError(f'{path} is refused: it is larger than {LARGEST_CONFIG:,} bytes')
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:  # Of the encoding, of JSON, of numbers and lists without end.
        raise CheckpointError(f'{path} is no JSON: {first_line(error)}') from None
    return config_in(content, str(path), base)


def check_belongs(network: type[nn.Module], arguments: Mapping[str, Any], folder: Path) -> None:
    """Make sure, before a network is built, that its weights are there and are those of its config.

    Without memory for the network: what config.json says of its size is not believed.
    """
    source = str(folder / WEIGHTS)
    found = read_weights(source).tensors
    try:
        blocks = network.num_blocks(arguments)
        if blocks > len(found):
            raise ValueError(f'{blocks} blocks, and {len(found)} tensors in {WEIGHTS}')
        with torch.device('meta'):
            expected = network(**arguments).state_dict()
    # Of arguments, and torch's of sizes without end.
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(f'{folder / CONFIG} describes no {network.__name__}: {first_line(error)}') from None
    wrong = sorted(set(found) ^ set(expected))
    wrong += [name for name in expected if name in found and expected[name].shape != found[name].shape]
    if wrong:
        raise CheckpointError(
            f'{source} does not belong to {CONFIG} beside it: they differ in {len(wrong)} tensors, {shorten(wrong)}'
        )
