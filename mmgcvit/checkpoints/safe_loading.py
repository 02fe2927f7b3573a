"""Make mmengine load checkpoints without running code from them, by replacing the loaders of ``CheckpointLoader``."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.runner import CheckpointLoader

from ..errors import CheckpointError
from ..files import URL_SCHEMES
from ..private_api import get_checkpoint_loader
from .reading import read_checkpoint
from .weights import find_state_dict, select_tensors

# Prefixes of the paths whose loaders are replaced: local files ('') and URLs, but not mmengine's torchvision:// etc.
SCHEMES = ('', *URL_SCHEMES)
# Keys under which a checkpoint stores its config as text. mmengine executes this text when it resumes, and in an
# inferencer that gets no other config.
CONFIG_KEYS = ('config', 'cfg')


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read: its file, URL or ``timm://NAME``, and what mmengine gets of its content."""

    source: str
    content: dict[str, Any]


@contextmanager
def safe_checkpoint_loading(work_dir: str | Path | None = None, checkpoint: Checkpoint | None = None) -> Iterator[None]:
    """Context manager in which mmengine, anywhere in this process, loads checkpoints without running code from them.

    By default mmengine unpickles files, which runs code that they name, and executes configs that they contain as text.

    Args:
        work_dir: The run's folder. mmengine's checkpoint hook may delete files that a checkpoint names, so all paths
            but those of best checkpoints in this folder are removed.
        checkpoint: When mmengine first loads this source, it gets the content and does not read the file again.
    """
    contents = {checkpoint.source: checkpoint.content} if checkpoint else {}
    del checkpoint  # so that mmengine frees the content after loading

    # mmengine cuts the first ten letters off the name below and logs: "Loads checkpoint by files_as_data backend".
    def load_from_files_as_data(filename: str | Path, map_location: Any = None, logger: Any = None) -> dict[str, Any]:
        source = str(filename)
        return contents.pop(source, None) or read_for_mmengine(source, work_dir, map_location or 'cpu').content

    previous_loaders = {scheme: get_checkpoint_loader(scheme) for scheme in SCHEMES}
    CheckpointLoader.register_scheme(SCHEMES, load_from_files_as_data, force=True)
    try:
        yield
    finally:
        for scheme, loader in previous_loaders.items():
            CheckpointLoader.register_scheme(scheme, loader, force=True)


def read_for_mmengine(
    source: str, work_dir: str | Path | None = None, map_location: Any = 'cpu', is_resumed: bool = True
) -> Checkpoint:
    """Read a checkpoint, put its weights under ``state_dict``, and remove what mmengine would execute or delete.

    If no run is resumed from it, also remove the states of the optimizer and of EMA, which are larger than the weights.

    Raises:
        CheckpointError: See :func:`read_checkpoint`. It is also raised if the file has no weights.
    """
    content = read_checkpoint(source, map_location)
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f'{source} has no weights: it is a {type(content).__name__} instead of a dict. Save a state_dict() in the '
            'program that wrote it'
        )
    # mmengine's strategies (such as DeepSpeed's) also write files without weights.
    if any(select_tensors(value) for value in (content, *content.values()) if isinstance(value, Mapping)):
        state_dict, _ = find_state_dict(content, source)
        content = {**content, 'state_dict': state_dict} if 'state_dict' in content else {'state_dict': state_dict}
    elif 'state_dict' in content:
        raise CheckpointError(f"{source} has no weights: its 'state_dict' contains no tensors. Use another checkpoint")
    unused = () if is_resumed else ('optimizer', 'ema_state_dict')
    content = {'meta': {}, **{name: value for name, value in content.items() if name not in unused}}
    hub = content['message_hub'] if isinstance(content.get('message_hub'), dict) else {}
    # A crafted file can have values of any type.
    for name in ('runtime_info', 'log_scalars', 'resumed_keys'):
        hub[name] = hub[name] if isinstance(hub.get(name), dict) else {}
    for entries in (content['meta'], hub['runtime_info']):
        if isinstance(entries, dict):
            for name in [name for name, value in entries.items() if is_harmful(name, value, work_dir)]:
                del entries[name]
    # A run in bfloat16 saves an empty loss_scaler, which mmengine cannot load when the run is resumed in float16.
    if isinstance(optimizer := content.get('optimizer'), dict) and optimizer.get('loss_scaler') == {}:
        del optimizer['loss_scaler']
    # mmengine warns about keys in resumed_keys that are missing from the message hub.
    kept = {**hub['runtime_info'], **hub['log_scalars']}
    hub['resumed_keys'] = {name: value for name, value in hub['resumed_keys'].items() if name in kept}
    return Checkpoint(source, content)


def is_harmful(name: Any, value: Any, work_dir: str | Path | None) -> bool:
    """Return whether mmengine would execute an entry, or delete the file it names, unless this is a best checkpoint."""
    if not isinstance(name, str) or not name.startswith(('best_ckpt', 'last_ckpt')) or value is None:
        return name in CONFIG_KEYS
    if work_dir is None or not isinstance(value, str) or '\0' in value:
        return True
    path = Path(value)
    return not path.name.startswith('best_') or path.parent.resolve() != Path(work_dir).resolve()
