"""Read checkpoints for mmengine, and make mmengine itself load them, without running code from
them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..host.files import URL_SCHEMES
from ..host.private_api import get_checkpoint_loaders
from .dino import list_dino_classes, translate_dino
from .downloading import TIMM_SCHEME, resolve_file
from .published import read_description
from .reading import read_checkpoint
from .weights import find_state_dict, select_tensors

EMA_STATE = 'ema_state_dict'  # a checkpoint's key for the state of mmengine's EMAHook


@dataclass
class Checkpoint:
    """A checkpoint as mmengine gets it. The content is not pickled: each rank reads the file."""

    source: str  # a file or a URL
    # mmengine's. fit_checkpoint and select_initial replace its weights by those that fit a model.
    content: dict[str, Any]
    work_dir: str | Path | None  # that of the run that resumes, for its best checkpoints
    is_resumed: bool  # whether a run goes on with it, rather than starts from it or predicts

    def __reduce__(
        self,
    ) -> tuple[Callable[..., 'Checkpoint'], tuple[str | Path | bool | None, ...]]:
        # A checkpoint is pickled only when rank 0 tells the other ranks which one it has chosen. A
        # pickle of the weights would be sent to each of them, so it says how to read the file.
        return read_for_mmengine, (self.source, self.work_dir, self.is_resumed)

    def take_content(self) -> dict[str, Any]:
        """Return the content, and keep none of it: its memory is the caller's, although others may
        still have this object.
        """
        content = self.content
        self.content = {}
        return content


@contextmanager
def safe_checkpoint_loading(work_dir: str | Path | None = None) -> Iterator[None]:
    """Context manager in which mmengine, anywhere in this process, loads checkpoints by
    :func:`read_for_mmengine`.

    It replaces the loaders of ``CheckpointLoader``, which run code that files name. Local files and
    URLs are covered, but not mmengine's ``torchvision://`` etc.
    """

    def load_from_source(filename: str | Path, *_: Any) -> dict[str, Any]:
        return read_for_mmengine(str(filename), work_dir).content

    loaders = dict.fromkeys(('', *URL_SCHEMES), load_from_source)  # by prefix of the path
    previous_loaders = {prefix: get_checkpoint_loaders()[prefix] for prefix in loaders}
    get_checkpoint_loaders().update(loaders)
    try:
        yield
    finally:
        # If a package has registered a loader meanwhile, this is another dict.
        get_checkpoint_loaders().update(previous_loaders)


def read_for_mmengine(
    source: str, work_dir: str | Path | None = None, is_resumed: bool = True
) -> Checkpoint:
    """Read a checkpoint, put its weights under ``state_dict``, and remove what mmengine would
    execute or delete.

    mmengine executes configs, and its checkpoint hook may delete files that a checkpoint names, so
    all paths but those of best checkpoints in ``work_dir`` are removed. If no run is resumed, also
    remove the states of the optimizer and of EMA, which are larger than the weights. TAO's DINO
    gets the keys of mmdet's and the names of COCO's classes. Raise a CheckpointError if
    :func:`read_checkpoint` does or the file has no weights.
    """
    content = place_weights(read_checkpoint(source), source)
    if is_resumed:
        remove_empty_loss_scaler(content)
    else:
        content.pop('optimizer', None)
        content.pop(EMA_STATE, None)
    content['meta'] = remove_harmful(get_dict(content, 'meta'), work_dir)
    if not source.startswith(TIMM_SCHEME):
        content['meta'] |= read_description(resolve_file(source))
    if 'message_hub' in content:
        content['message_hub'] = clean_message_hub(get_dict(content, 'message_hub'), work_dir)
    return Checkpoint(source, content, work_dir, is_resumed)


def place_weights(content: Any, source: str) -> dict[str, Any]:
    """Return a checkpoint's content with its weights under ``state_dict``, TAO's DINO with mmdet's
    keys and the names of its classes.
    """
    # mmengine's strategies (such as DeepSpeed's) also write dicts without weights.
    has_weights = not isinstance(content, dict) or 'state_dict' in content
    if not has_weights and not any(map(select_tensors, (content, *content.values()))):
        return content
    state_dict, _ = find_state_dict(content, source)
    others = content if 'state_dict' in content else {}
    classes = list_dino_classes(state_dict)
    placed = {**others, 'state_dict': translate_dino(state_dict, source) or state_dict}
    if classes:
        placed['meta'] = {**get_dict(placed, 'meta'), 'dataset_meta': {'classes': classes}}
    return placed


def remove_empty_loss_scaler(content: Mapping[str, Any]) -> None:
    """Remove the empty ``loss_scaler`` that a run in bfloat16 saves, and that mmengine cannot load
    when the run is resumed in float16.
    """
    optimizer = get_dict(content, 'optimizer')
    if optimizer.get('loss_scaler') == {}:
        del optimizer['loss_scaler']


def clean_message_hub(hub: Mapping[str, Any], work_dir: str | Path | None) -> dict[str, Any]:
    """Return the state of mmengine's MessageHub without what is harmful."""
    info = remove_harmful(get_dict(hub, 'runtime_info'), work_dir)
    logs = get_dict(hub, 'log_scalars')
    return {
        'runtime_info': info,
        'log_scalars': logs,
        'resumed_keys': dict.fromkeys([*info, *logs], True),
    }


def get_dict(content: Mapping[str, Any], name: str) -> dict[Any, Any]:
    """Return an entry that must be a dict, or an empty dict: a crafted file can have any types."""
    value = content.get(name)
    return value if isinstance(value, dict) else {}


def remove_harmful(entries: Mapping[Any, Any], work_dir: str | Path | None) -> dict[Any, Any]:
    """Remove the configs, which mmengine would execute, and paths of files that it would delete,
    unless these are best checkpoints in the work dir.
    """
    kept = {}
    for name, value in entries.items():
        if str(name).startswith(('best_ckpt', 'last_ckpt')):
            value = locate_best_checkpoint(value, work_dir)
            if value is None:
                continue
        if name not in ('config', 'cfg'):
            kept[name] = value
    return kept


def locate_best_checkpoint(path: Any, work_dir: str | Path | None) -> str | None:
    """Return the best checkpoint in the work dir that a path of any type names, or None.

    The run may have been renamed or moved since it saved the path. Then it is the file of this name
    in the work dir, if there is one.
    """
    if work_dir is None or not isinstance(path, str) or '\0' in path:
        return None
    file = Path(path)
    if not file.name.startswith('best_'):
        return None
    if file.parent.resolve() == Path(work_dir).resolve():
        return path
    moved = Path(work_dir, file.name)
    return str(moved) if moved.is_file() else None
