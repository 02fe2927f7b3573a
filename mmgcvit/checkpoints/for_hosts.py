"""Checkpoints for the hosts: where it is asked to, mmengine reads files and http(s) addresses as this project does."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader
from mmengine.utils import apply_to
from torch import Tensor

from ..errors import CheckpointError, printable
from ..registry import HOOKS
from .reading import read_checkpoint, read_trusted_checkpoint
from .weights import find_state_dict, tensors_of

# Where files hold a config as text: mmengine runs it, as Python, when it resumes and when an inferencer has no other.
CONFIGS = ('config', 'cfg')
# Local files, and addresses; schemes that hosts serve from their own model zoos are left to them.
READ_HERE = ('', 'http://', 'https://')


@dataclass
class ReadingAsData:
    """A context in which mmengine reads checkpoints as data, whoever asks for them in this process.

    By its default mmengine runs code from a file where the safe way does not suffice. Without the config that a file
    holds as text, which mmengine would run: an Inferencer is given one.

    Args:
        work_dir: The run's folder, without which no path from a file reaches mmengine.
        trusted: The user's own files, named as the host will, that may run code.
        checked: Files that were found to be whole and are not written into while they are read: they are mapped, as is
            what this context has read once, until it is replaced.
    """

    work_dir: str | Path | None = None
    trusted: Collection[str] = ()
    checked: Collection[str | tuple] = ()
    # Of a loader's name mmengine logs what follows the tenth letter.
    __name__ = 'load_from_mmgcvit'

    def __enter__(self) -> 'ReadingAsData':
        self.found = {scheme: CheckpointLoader._get_checkpoint_loader(scheme) for scheme in READ_HERE}
        CheckpointLoader.register_scheme(READ_HERE, self, force=True)
        return self

    def __exit__(self, *_: object) -> None:
        for scheme, loader in self.found.items():
            CheckpointLoader.register_scheme(scheme, loader, force=True)

    def __call__(self, filename: str, map_location: Any = None) -> dict[str, Any]:
        # Before it is read: one that is replaced meanwhile is looked through when it is read again.
        file = state_of(filename)
        options = {'trust': filename in self.trusted, 'checked': not {filename, file}.isdisjoint(self.checked)}
        content = on_device(read_for_host(filename, self.work_dir, **options), map_location)
        self.checked = {*self.checked, file}
        return content


class OfARun(ReadingAsData):
    """The one that a run's hook has switched on."""


@HOOKS.register_module()
class ReadAsDataHook(Hook):
    """Has mmengine read checkpoints as data from a run's beginning to its end, under the hosts' own scripts too.

    mmengine's FlexibleRunner loads before it asks its hooks: of its runs those of ``mmgcvit train`` do so.
    """

    def before_run(self, runner: Any) -> None:
        # mmengine calls no after_run of a run that raised.
        while isinstance(found := CheckpointLoader._get_checkpoint_loader(''), OfARun):
            found.__exit__()
        # What a command has been told to trust stays so.
        known = found if isinstance(found, ReadingAsData) else ReadingAsData()
        self.reading = OfARun(runner.work_dir, known.trusted, known.checked).__enter__()

    def after_run(self, runner: Any) -> None:
        self.reading.__exit__()


def state_of(filename: str) -> tuple[str, int | None, int | None]:
    """A file's name, and what changes when it is replaced: time in ns, and bytes; of an address the name alone."""
    path = Path(filename).expanduser()
    return (filename, path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else (filename, None, None)


def on_device(content: dict[str, Any], map_location: Any) -> dict[str, Any]:
    """What was read onto the CPU, its tensors where ``torch.load`` would have put them by ``map_location``."""
    if callable(map_location):
        storage = map_location(torch.UntypedStorage(0), 'cpu')
        map_location = None if storage is None else storage.device
    elif isinstance(map_location, dict):
        map_location = map_location.get('cpu')
    if map_location is None or torch.device(map_location).type == 'cpu':
        return content
    return apply_to(content, lambda value: isinstance(value, Tensor), lambda tensor: tensor.to(map_location))


def read_for_host(
    source: str, work_dir: str | Path | None = None, trust: bool = False, checked: bool = False
) -> dict[str, Any]:
    """What a host gets of a checkpoint: its weights under ``state_dict`` wherever the file has them, and no orders."""
    content = read_trusted_checkpoint(source) if trust else read_checkpoint(source, checked)
    if not isinstance(content, Mapping):
        raise CheckpointError(f'{source} holds no weights: a {type(content).__name__} where a dict belongs')
    # A strategy's files of other things hold none.
    if any(tensors_of(part) for part in (content, *content.values()) if isinstance(part, Mapping)):
        state_dict, _ = find_state_dict(content, source)
        content = {**content, 'state_dict': state_dict} if 'state_dict' in content else {'state_dict': state_dict}
    elif 'state_dict' in content:
        raise CheckpointError(f'{source} holds no weights: its state_dict has no tensors')
    return without_orders(content, source, work_dir)


def without_orders(content: Mapping[str, Any], source: str, work_dir: str | Path | None) -> dict[str, Any]:
    """A checkpoint without what mmengine would run, and without what it would remove outside of the work folder."""
    content = {'meta': {}, **content}
    if isinstance(content['meta'], dict):
        content['meta'] = {name: value for name, value in content['meta'].items() if name not in CONFIGS}
    hub = content.get('message_hub')
    if not isinstance(hub, dict) or not isinstance(hub.get('runtime_info'), dict):
        return content
    info = hub['runtime_info']
    kept = {name: value for name, value in info.items() if is_harmless(name, value, work_dir)}
    resumed, logs = hub.get('resumed_keys'), hub.get('log_scalars')
    if isinstance(resumed, dict) and isinstance(logs, dict):
        resumed = {name: value for name, value in resumed.items() if name in kept or name in logs}
    content['message_hub'] = {**hub, 'runtime_info': kept, 'resumed_keys': resumed}
    best = [info[name] for name in info if name not in kept and str(name).startswith('best_ckpt')]
    foreign = ', '.join(path for path in best if isinstance(path, str) and path)
    if work_dir is not None and foreign:
        print_log(printable(f'{source}: not of {work_dir}, and so not replaced by better ones: {foreign}'), 'current')
    return content


def is_harmless(name: Any, value: Any, work_dir: str | Path | None) -> bool:
    """Whether mmengine may have an entry: it runs configs, and its checkpoint hook removes files by some."""
    if name == 'keep_ckpt_ids':
        return type(value) is list and all(type(step) is int and step >= 0 for step in value)
    if not (name == 'last_ckpt' or str(name).startswith('best_ckpt')) or value is None:
        return name not in CONFIGS
    if work_dir is None or type(value) is not str or '\0' in value:
        return False
    # What a hook has saved as the best one in the work folder.
    path = Path(value)
    is_there = path.parent.resolve() == Path(work_dir).resolve() and not path.is_symlink() and not path.is_dir()
    return is_there and path.name.startswith('best_') and path.suffix == '.pth'
