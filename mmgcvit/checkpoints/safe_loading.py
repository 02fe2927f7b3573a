"""Read checkpoints for mmengine, and make mmengine itself load them, without running code from
them.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from mmengine.runner import CheckpointLoader

from ..errors import CheckpointError, escape_controls, shorten
from ..files import URL_SCHEMES
from ..private_api import get_checkpoint_loader
from .dino import translate_dino
from .reading import read_checkpoint
from .weights import find_state_dict, select_tensors

# Prefixes of the paths whose loaders are replaced: local files ('') and URLs, but not mmengine's
# torchvision:// etc.
SCHEMES = ('', *URL_SCHEMES)
# Keys under which a checkpoint stores its config as text, which mmengine executes when it resumes
# and in inferencers.
CONFIG_KEYS = ('config', 'cfg')
LAST_CHECKPOINT_FILE = 'last_checkpoint'  # in which mmengine stores the path of the last checkpoint
RESUMABLE_NAME = re.compile(r'(epoch|iter)_\d+\.pth')
RUN_FILE_NAME = re.compile(
    rf'(best_.+_)?{RESUMABLE_NAME.pattern}'
)  # resumable checkpoints, and best ones


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's source, and content as mmengine gets it, which is not pickled: each rank reads
    the file.
    """

    source: str
    content: dict[str, Any]
    work_dir: str | Path | None = None
    is_resumed: bool = True

    def __reduce__(self) -> tuple[Callable[..., 'Checkpoint'], tuple[Any, ...]]:
        return read_for_mmengine, (self.source, self.work_dir, 'cpu', self.is_resumed)


@contextmanager
def safe_checkpoint_loading(
    work_dir: str | Path | None = None, checkpoint: Checkpoint | None = None
) -> Iterator[None]:
    """Context manager in which mmengine, anywhere in this process, loads checkpoints by
    :func:`read_for_mmengine`.

    It replaces the loaders of ``CheckpointLoader``, which run code that files name. When mmengine
    first loads the source of ``checkpoint``, it gets the content and does not read the file again.
    """
    contents = {checkpoint.source: checkpoint.content} if checkpoint else {}
    del checkpoint  # so that mmengine frees the content after loading

    # mmengine cuts the first ten letters off the name below and logs: "Loads checkpoint by
    # files_as_data backend".
    def load_from_files_as_data(
        filename: str | Path, map_location: Any = None, logger: Any = None
    ) -> dict[str, Any]:
        source = str(filename)
        return (
            contents.pop(source, None)
            or read_for_mmengine(source, work_dir, map_location or 'cpu').content
        )

    previous_loaders = {scheme: get_checkpoint_loader(scheme) for scheme in SCHEMES}
    CheckpointLoader.register_scheme(SCHEMES, load_from_files_as_data, force=True)
    try:
        yield
    finally:
        for scheme, loader in previous_loaders.items():
            CheckpointLoader.register_scheme(scheme, loader, force=True)


def read_for_mmengine(
    source: str,
    work_dir: str | Path | None = None,
    map_location: Any = 'cpu',
    is_resumed: bool = True,
) -> Checkpoint:
    """Read a checkpoint, put its weights under ``state_dict``, and remove what mmengine would
    execute or delete.

    mmengine executes configs, and its checkpoint hook may delete files that a checkpoint names, so
    all paths but those of best checkpoints in ``work_dir`` are removed. If no run is resumed, also
    remove the states of the optimizer and of EMA, which are larger than the weights. TAO's DINO
    gets the keys of mmdet's. Raise a CheckpointError if :func:`read_checkpoint` does or the file
    has no weights.
    """
    content = read_checkpoint(source, map_location)
    if not isinstance(content, Mapping):
        found = type(content).__name__
        raise CheckpointError(
            f'{source} has no weights: it is a {found} instead of a dict. Save a state_dict()'
        )
    # mmengine's strategies (such as DeepSpeed's) also write files without weights.
    if any(
        select_tensors(value)
        for value in (content, *content.values())
        if isinstance(value, Mapping)
    ):
        state_dict, _ = find_state_dict(content, source)
        state_dict = translate_dino(state_dict, source) or state_dict
        content = (
            {**content, 'state_dict': state_dict}
            if 'state_dict' in content
            else {'state_dict': state_dict}
        )
    elif 'state_dict' in content:
        raise CheckpointError(
            f"{source} has no weights: its 'state_dict' contains no tensors. Use another checkpoint"
        )
    unused = () if is_resumed else ('optimizer', 'ema_state_dict')
    content = {'meta': {}, **{name: value for name, value in content.items() if name not in unused}}
    hub = content['message_hub'] if isinstance(content.get('message_hub'), dict) else {}
    # A crafted file can have values of any type.
    for name in ('runtime_info', 'log_scalars', 'resumed_keys'):
        hub[name] = hub[name] if isinstance(hub.get(name), dict) else {}
    for entries in (content['meta'], hub['runtime_info']):
        if isinstance(entries, dict):
            for name in [
                name for name, value in entries.items() if is_harmful(name, value, work_dir)
            ]:
                del entries[name]
    # A run in bfloat16 saves an empty loss_scaler, which mmengine cannot load when the run is
    # resumed in float16.
    if (
        isinstance(optimizer := content.get('optimizer'), dict)
        and optimizer.get('loss_scaler') == {}
    ):
        del optimizer['loss_scaler']
    # mmengine warns about keys in resumed_keys that are missing from the message hub.
    kept = {**hub['runtime_info'], **hub['log_scalars']}
    hub['resumed_keys'] = {
        name: value for name, value in hub['resumed_keys'].items() if name in kept
    }
    return Checkpoint(source, content, work_dir, is_resumed)


def is_harmful(name: Any, value: Any, work_dir: str | Path | None) -> bool:
    """Return whether mmengine would execute an entry, or delete the file it names, unless this is a
    best checkpoint.
    """
    if (
        not isinstance(name, str)
        or not name.startswith(('best_ckpt', 'last_ckpt'))
        or value is None
    ):
        return name in CONFIG_KEYS
    if work_dir is None or not isinstance(value, str) or '\0' in value:
        return True
    path = Path(value)
    return not path.name.startswith('best_') or path.parent.resolve() != Path(work_dir).resolve()


def read_latest_checkpoint(
    work_dir: str | Path,
    advice: str = 'Use another checkpoint',
    read: Callable[[str], Checkpoint] = read_for_mmengine,
    prefer_best: bool = False,
) -> Checkpoint | None:
    """Read the checkpoint of a work dir that is named in ``last_checkpoint``, else the newest.
    Return None for none.

    With ``prefer_best``, the newest ``best_*.pth`` comes first. If ``read`` cannot read a
    checkpoint, a warning is logged and the next one is read. If none can be read, raise a
    CheckpointError that ends with ``advice``.
    """
    work_dir = Path(work_dir)
    newest_first = sorted(
        work_dir.glob('*.pth'), key=lambda path: path.stat().st_mtime_ns, reverse=True
    )
    best = [path for path in newest_first if prefer_best and path.name.startswith('best_')]
    file = work_dir / LAST_CHECKPOINT_FILE
    named = file.read_text(errors='replace').strip() if file.is_file() else ''
    # Look in the work dir first, because it may have been moved or copied since.
    last = [path for path in (work_dir / Path(named).name, Path(named)) if named and path.is_file()]
    others = [path for path in newest_first if RESUMABLE_NAME.fullmatch(path.name)]
    unreadable = []
    for path in dict.fromkeys([*best, *last[:1], *others]):
        try:
            return read(str(path))
        except (CheckpointError, OSError) as error:
            unreadable.append(path.name)
            print_log(escape_controls(f'skipped: {error}'), 'current', logging.WARNING)
    if unreadable:
        raise CheckpointError(
            f'{work_dir} has no readable checkpoint (damaged: {shorten(unreadable)}). {advice}'
        )
    return None
