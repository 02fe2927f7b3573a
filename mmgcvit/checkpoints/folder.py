"""A backbone as a folder: ``config.json`` says how it is built, ``model.safetensors`` has its weights.

config.json is an object of four keys: ``network``, a registered class; ``arguments``, those of its constructor;
``mmgcvit_version``, which wrote it; and ``model_type``, by which transformers' Auto classes know it. Nothing in it is
run, and it can name no class but the registered networks.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from packaging.version import InvalidVersion, Version
from torch import Tensor, nn

from ..errors import CheckpointError, first_line, shorten
from ..hosts.registry import MODELS
from ..models.layers import resolve_variant
from ..version import __version__
from .values import check_numbers
from .weights import read_weights
from .wholeness import beside, put_in_place, unfinished_of, write_digest_beside, write_safetensors

CONFIG, WEIGHTS = 'config.json', 'model.safetensors'
MODEL_TYPE = 'mmgcvit'
KEYS = ('arguments', 'mmgcvit_version', 'model_type', 'network')
# What transformers adds where it writes the folder (doors/transformers.py); it says nothing about how to build.
KEYS_OF_TRANSFORMERS = ('architectures', 'dtype', 'out_features', 'out_indices', 'stage_names', 'transformers_version')
LARGEST_CONFIG = 1 << 16


@dataclass(frozen=True)
class FolderConfig:
    """How a backbone is built.

    Attributes:
        network: The name of its class in the registry.
        arguments: Those of the constructor, as plain JSON values.
    """

    network: str
    arguments: dict[str, Any]

    def as_text(self) -> str:
        """The content of config.json."""
        content = {
            'arguments': self.arguments,
            'mmgcvit_version': __version__,
            'model_type': MODEL_TYPE,
            'network': self.network,
        }
        return json.dumps(content, indent=2, sort_keys=True) + '\n'


def plain(value: Any, name: str) -> Any:
    """A constructor's argument as JSON has it: sequences as lists, NumPy's numbers as Python's.

    Raises:
        TypeError: It holds something else than finite numbers, text, None, sequences and dicts with text as keys.
    """
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


def write_folder(folder: Path, config: FolderConfig, tensors: Mapping[str, Tensor], overwrite: bool) -> None:
    """Write a backbone's folder: both files beside their places, then into them, config.json last.

    Args:
        folder: Made if it is not there. Other files in it are left alone.
        config: How the backbone is built.
        tensors: Its state dict.
        overwrite: Whether a backbone that is there may be replaced.

    Raises:
        FileExistsError: There is one, and it may not; or the folder is a file.
        CheckpointError: A tensor is no weight; or safetensors is not installed.
    """
    if find_spec('safetensors') is None:
        raise CheckpointError(f"writing {folder / WEIGHTS} needs safetensors: 'pip install safetensors'")
    check_numbers(tensors, 'the backbone')
    paths = config_path, weights_path = folder / CONFIG, folder / WEIGHTS
    check_free(folder, paths, overwrite)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for path in paths:
            stack.callback(unfinished_of(path).unlink, missing_ok=True)
        write_safetensors(tensors, unfinished_of(weights_path), {'format': 'pt'})
        unfinished_of(config_path).write_text(config.as_text())
        # A folder without config.json is refused: what is interrupted here is never taken for a whole one.
        config_path.unlink(missing_ok=True)
        beside(weights_path).unlink(missing_ok=True)
        put_in_place(unfinished_of(weights_path), weights_path)
        write_digest_beside(weights_path)
        put_in_place(unfinished_of(config_path), config_path)


def check_free(folder: Path, paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse to replace what is there, unless that is wanted."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f'{folder} is a file; name a folder')
    found = [path.name for path in paths if path.exists()]
    if found and not overwrite:
        raise FileExistsError(
            f'{folder} has {" and ".join(found)} already; name another folder, or replace them with overwrite=True'
        )


def read_config(folder: Path) -> FolderConfig:
    """Read a folder's config.json.

    Raises:
        CheckpointError: There is none, or it is not what :func:`write_folder` writes, or a later version wrote it.
    """
    path = folder / CONFIG
    return config_in(read_json(path), str(path))


def config_in(content: Any, source: str) -> FolderConfig:
    """What a config.json holds, judged.

    Args:
        content: What JSON has become.
        source: For messages.

    Raises:
        CheckpointError: It is no config of a backbone, or a later version's, or would do more than build one.
    """
    if not isinstance(content, dict) or content.get('model_type') != MODEL_TYPE:
        raise CheckpointError(f'{source} is no config of mmgcvit: its model_type is not {MODEL_TYPE!r}')
    missing = [key for key in KEYS if key not in content]
    unknown = sorted(set(content) - {*KEYS, *KEYS_OF_TRANSFORMERS})
    if missing or unknown:
        raise CheckpointError(f'{source}: unknown keys {unknown}, missing keys {missing}; the keys are {list(KEYS)}')
    check_version(content['mmgcvit_version'], source)
    network, arguments = content['network'], content['arguments']
    if not isinstance(network, str) or not isinstance(arguments, dict):
        raise CheckpointError(f'{source}: network must be a name, and arguments an object')
    if 'init_cfg' in arguments:
        raise CheckpointError(f'{source}: arguments must not have init_cfg; the weights are in {WEIGHTS}')
    check_types(arguments, source)
    return FolderConfig(network, arguments)


def read_json(path: Path) -> Any:
    """What a JSON file of bounded size holds.

    Raises:
        CheckpointError: There is no such file, it is too large, or no JSON.
    """
    if not path.is_file():
        raise CheckpointError(f'there is no {path.name} in {path.parent}, which save_pretrained writes; or name a file')
    if path.stat().st_size > LARGEST_CONFIG:
        raise CheckpointError(f'{path} is refused: it is larger than {LARGEST_CONFIG:,} bytes')
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:  # Of the encoding, of JSON, of numbers and lists without end.
        raise CheckpointError(f'{path} is no JSON: {first_line(error)}') from None


def check_version(version: Any, source: str) -> None:
    """Refuse what a later version has written."""
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


def check_types(arguments: dict[str, Any], source: str) -> None:
    """Refuse ``type=`` dicts that name anything but what this package has registered, as a dotted path would."""
    waiting: list[Any] = [arguments]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            named = value.get('type')
            if named is not None and (not isinstance(named, str) or named not in MODELS.module_dict):
                raise CheckpointError(f'{source} names a type {named!r:.80}, which is not registered in mmgcvit')
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def network_in(config: FolderConfig, base: type[nn.Module], source: str) -> type[nn.Module]:
    """The registered class that a config names.

    Args:
        config: Of the folder.
        base: What it must be, or be derived from.
        source: For messages.

    Raises:
        CheckpointError: There is none, or it is another network.
    """
    network = MODELS.module_dict.get(config.network)
    if network is None:
        raise CheckpointError(
            f'{source} names the network {config.network!r:.80}, which is not registered; import what '
            'registers it, as mmgcvit.models.rivals does those of the ablations'
        )
    if not issubclass(network, base):
        raise CheckpointError(f'{source} is of a {network.__name__}; the model is {base.__name__}')
    return network


def check_belongs(network: type[nn.Module], config: FolderConfig, folder: Path) -> None:
    """Make sure, before a network is built, that its weights are there and are those of its config.

    Without memory for the network: what config.json says of its size is not believed.

    Raises:
        CheckpointError: They are not; or no network is built of the arguments.
    """
    source = str(folder / WEIGHTS)
    found = read_weights(source).tensors
    expected = expected_tensors(network, config, folder, most=len(found))
    wrong = sorted(set(found) ^ set(expected))
    wrong += [name for name in expected if name in found and expected[name].shape != found[name].shape]
    if wrong:
        raise CheckpointError(
            f'{source} does not belong to {CONFIG} beside it: they differ in {len(wrong)} tensors, {shorten(wrong)}'
        )


def expected_tensors(network: type[nn.Module], config: FolderConfig, folder: Path, most: int) -> dict[str, Tensor]:
    """The state dict, without numbers, of the network that a config describes, of no more than ``most`` blocks."""
    try:
        depths = resolve_variant(config.arguments.get('arch', network.default_arch), network.archs).depths
        if sum(depths) > most:
            raise ValueError(f'{sum(depths)} blocks, and {most} tensors in {WEIGHTS}')
        with torch.device('meta'):
            return network(**config.arguments).state_dict()
    # Of arguments, and torch's of sizes without end.
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(f'{folder / CONFIG} describes no {network.__name__}: {first_line(error)}') from None
