"""Have mmengine read checkpoints as data, by the schemes that its ``CheckpointLoader`` lets one register."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import CheckpointLoader

from ..errors import CheckpointError
from ..files import URL_SCHEMES
from ..registry import HOOKS
from .reading import read_checkpoint
from .weights import find_state_dict, select_tensors

# Files on disk, and addresses. The model zoos of OpenMMLab and torchvision stay mmengine's.
SCHEMES = ('', *URL_SCHEMES)
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
        return read_for_mmengine(filename, work_dir, filename in trusted, map_location or 'cpu')

    earlier = {scheme: CheckpointLoader._get_checkpoint_loader(scheme) for scheme in SCHEMES}
    CheckpointLoader.register_scheme(SCHEMES, load_from_files_as_data, force=True)
    try:
        yield load_from_files_as_data
    finally:
        for scheme, loader in earlier.items():
            CheckpointLoader.register_scheme(scheme, loader, force=True)


@HOOKS.register_module()
class SafeLoadHook(Hook):
    """Has mmengine read checkpoints as data from a run's beginning to its end, also under OpenMMLab's own scripts."""

    def __init__(self) -> None:
        self.context = ExitStack()

    def before_run(self, runner: Any) -> None:
        # A command has entered the context before it built the runner.
        if CheckpointLoader._get_checkpoint_loader('').__module__ != __name__:
            self.context.enter_context(safe_checkpoint_loading(runner.work_dir))

    def after_run(self, runner: Any) -> None:
        self.context.close()


def read_for_mmengine(
    source: str, work_dir: str | Path | None = None, trusted: bool = False, map_location: Any = 'cpu'
) -> dict[str, Any]:
    """Read a checkpoint for mmengine: weights under ``state_dict``, and nothing that mmengine would execute.

    Raises:
        CheckpointError: See :func:`read_checkpoint`; or the file has no weights.
    """
    content = read_checkpoint(source, trusted, map_location)
    if not isinstance(content, Mapping):
        raise CheckpointError(f'{source} has no weights: it is a {type(content).__name__} instead of a dict')
    # mmengine's strategies also write files without weights.
    if any(select_tensors(part) for part in (content, *content.values()) if isinstance(part, Mapping)):
        state_dict, _ = find_state_dict(content, source)
        content = {**content, 'state_dict': state_dict} if 'state_dict' in content else {'state_dict': state_dict}
    elif 'state_dict' in content:
        raise CheckpointError(f'{source} has no weights: its state_dict has no tensors')
    content = {'meta': {}, **content}
    hub = content['message_hub'] if isinstance(content.get('message_hub'), dict) else {}
    info = hub.get('runtime_info') or {}
    for part in (content['meta'], info):
        if isinstance(part, dict):
            for name in [name for name, value in part.items() if is_harmful(str(name), value, work_dir)]:
                del part[name]
    # mmengine warns of each name that it is to resume and does not find.
    kept = {**info, **(hub.get('log_scalars') or {})}
    hub['resumed_keys'] = {name: value for name, value in (hub.get('resumed_keys') or {}).items() if name in kept}
    return content


def is_harmful(name: str, value: Any, work_dir: str | Path | None) -> bool:
    """Whether mmengine executes an entry, or deletes the file that it names and that is not this run's best one."""
    if not name.startswith(('best_ckpt', 'last_ckpt')) or value is None:
        return name in CONFIGS
    path = Path(str(value))
    return work_dir is None or not path.name.startswith('best_') or path.parent.resolve() != Path(work_dir).resolve()
