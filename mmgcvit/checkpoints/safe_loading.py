"""Have mmengine read checkpoints as data, by the schemes that its ``CheckpointLoader`` lets one register."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader
from mmengine.utils import apply_to
from torch import Tensor

from ..errors import CheckpointError
from ..files import ADDRESSES
from ..registry import HOOKS
from .reading import read_checkpoint
from .weights import find_state_dict, tensors_of

# Files on disk, and addresses. The model zoos of OpenMMLab and torchvision stay mmengine's.
SCHEMES = ('', *ADDRESSES)
# Configs as text, which mmengine executes when it resumes and when an inferencer has no other.
CONFIGS = ('config', 'cfg')


@contextmanager
def safe_checkpoint_loading(
    work_dir: str | Path | None = None, trusted: Collection[str] = ()
) -> Iterator[Callable[..., dict[str, Any]]]:
    """Have mmengine read checkpoints as data within this context, whoever loads them in this process.

    By default mmengine unpickles files, which runs code that they name, and executes configs that they hold as text.

    Args:
        work_dir: The run's folder. Paths in a file, which mmengine's checkpoint hook may delete, are kept only if they
            are a best checkpoint there.
        trusted: Files of the user's own, named as mmengine will name them, whose code may run.

    Yields:
        What reads a file: ``load(filename, map_location=None)``.
    """

    # mmengine logs its name from the tenth letter on.
    def load_from_files_as_data(filename: str, map_location: Any = None, logger: Any = None) -> dict[str, Any]:
        return on_device(read_for_host(filename, work_dir, filename in trusted), map_location)

    earlier = {scheme: CheckpointLoader._get_checkpoint_loader(scheme) for scheme in SCHEMES}
    CheckpointLoader.register_scheme(SCHEMES, load_from_files_as_data, force=True)
    try:
        yield load_from_files_as_data
    finally:
        for scheme, loader in earlier.items():
            CheckpointLoader.register_scheme(scheme, loader, force=True)


@HOOKS.register_module()
class SafeLoadHook(Hook):
    """Has mmengine read checkpoints as data from a run's beginning to its end, also under OpenMMLab's own scripts.

    mmengine's FlexibleRunner loads before it calls hooks: only ``mmgcvit train`` covers its runs.
    """

    def __init__(self) -> None:
        self.context = ExitStack()

    def before_run(self, runner: Any) -> None:
        # A command has entered the context before it built the runner.
        if CheckpointLoader._get_checkpoint_loader('').__module__ != __name__:
            self.context.enter_context(safe_checkpoint_loading(runner.work_dir))

    def after_run(self, runner: Any) -> None:
        self.context.close()


def on_device(content: dict[str, Any], map_location: Any) -> dict[str, Any]:
    """Move tensors from the CPU to where ``torch.load`` would have put them by ``map_location``."""
    if callable(map_location):
        storage = map_location(torch.UntypedStorage(0), 'cpu')
        map_location = None if storage is None else storage.device
    elif isinstance(map_location, dict):
        map_location = map_location.get('cpu')
    if map_location is None or torch.device(map_location).type == 'cpu':
        return content
    return apply_to(content, lambda value: isinstance(value, Tensor), lambda tensor: tensor.to(map_location))


def read_for_host(source: str, work_dir: str | Path | None = None, trusted: bool = False) -> dict[str, Any]:
    """Read a checkpoint for an OpenMMLab package: weights under ``state_dict``; see also :func:`remove_instructions`.

    Raises:
        CheckpointError: See :func:`read_checkpoint`; or the file holds no weights.
    """
    content = read_checkpoint(source, trusted)
    if not isinstance(content, Mapping):
        raise CheckpointError(f'{source} holds no weights: it is a {type(content).__name__} instead of a dict')
    # mmengine's strategies also write files without weights.
    if any(tensors_of(part) for part in (content, *content.values()) if isinstance(part, Mapping)):
        state_dict, _ = find_state_dict(content, source)
        content = {**content, 'state_dict': state_dict} if 'state_dict' in content else {'state_dict': state_dict}
    elif 'state_dict' in content:
        raise CheckpointError(f'{source} holds no weights: its state_dict has no tensors')
    content = {'meta': {}, **content}
    remove_instructions(content, work_dir)
    return content


def remove_instructions(content: dict[str, Any], work_dir: str | Path | None) -> None:
    """Remove what mmengine would execute, and names of files that it would delete outside of the work dir."""
    hub = content['message_hub'] if isinstance(content.get('message_hub'), dict) else {}
    for part in (content['meta'], hub.get('runtime_info')):
        if isinstance(part, dict):
            for name in [name for name, value in part.items() if is_instruction(str(name), value, work_dir)]:
                del part[name]
    # mmengine warns of each name that it is to resume and does not find.
    kept = {**(hub.get('runtime_info') or {}), **(hub.get('log_scalars') or {})}
    hub['resumed_keys'] = {name: value for name, value in (hub.get('resumed_keys') or {}).items() if name in kept}


def is_instruction(name: str, value: Any, work_dir: str | Path | None) -> bool:
    """Whether mmengine executes an entry, or its checkpoint hook deletes files by it that are not the run's best."""
    if name == 'keep_ckpt_ids':
        return not (isinstance(value, list) and all(type(number) is int for number in value))
    if not name.startswith(('best_ckpt', 'last_ckpt')) or value is None:
        return name in CONFIGS
    if work_dir is None or not isinstance(value, str) or '\0' in value:
        return True
    path = Path(value)
    is_best = path.name.startswith('best_') and path.suffix == '.pth' and not path.is_dir()
    return not is_best or path.parent.resolve() != Path(work_dir).resolve()
