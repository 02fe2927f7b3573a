"""What the metadata of published weights say beside the confidence thresholds: the names of the
classes, the backbone, and what limits the use of the weights.

They become entries of a checkpoint's ``meta``, where those of a training are too.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from .downloading import resolve_file
from .grids import SETTINGS, get_backbone_settings
from .licences import LIMIT
from .reading import read_metadata

CLASSES = 'classes'
BACKBONE_KEY = 'backbone'
# The settings of the backbone that are kept: they tell the size of a network, and the shape of its
# position tables
KEPT_SETTINGS = ('type', 'arch', 'window_size', 'pretrain_img_size')


def describe_weights(
    classes: Sequence[str] | None, backbone: Mapping[str, Any], limit: str | None
) -> dict[str, str]:
    """Return the entries of a file's metadata, whose values are strings: here JSON.

    Args:
        classes: The names of the classes, or None if they are not known.
        backbone: The settings of the backbone.
        limit: What limits the use of the weights, or None.
    """
    entries: dict[str, Any] = {}
    if classes:
        entries[CLASSES] = [*classes]
    if isinstance(backbone.get('type'), str):  # no class of a config in pure Python
        entries[BACKBONE_KEY] = {key: backbone[key] for key in KEPT_SETTINGS if key in backbone}
    if limit:
        entries[LIMIT] = limit
    return {key: json.dumps(value, ensure_ascii=False) for key, value in entries.items()}


def read_description(path: Path) -> dict[str, Any]:
    """Return the entries of ``meta`` that the metadata of a file say: none of another file.

    Raise a CheckpointError if they are damaged.
    """
    metadata = read_metadata(path)
    try:
        entries = {
            key: json.loads(metadata[key])
            for key in (CLASSES, BACKBONE_KEY, LIMIT)
            if key in metadata
        }
    except ValueError:
        raise CheckpointError(
            f'{path} has damaged metadata, or another program wrote them. Publish the weights '
            'again, or save them without metadata'
        ) from None
    meta: dict[str, Any] = {}
    classes = entries.get(CLASSES)
    if isinstance(classes, list) and all(isinstance(name, str) for name in classes):
        meta['dataset_meta'] = {'classes': classes}
    if isinstance(entries.get(BACKBONE_KEY), dict):
        meta[SETTINGS] = {'model': {'backbone': entries[BACKBONE_KEY]}}
    if isinstance(entries.get(LIMIT), str):
        meta[LIMIT] = entries[LIMIT]
    return meta


def read_backbone_settings(content: Any, source: str) -> Mapping[str, Any]:
    """Return the settings of the backbone that a checkpoint says, of a training or published, or
    none.
    """
    meta = content.get('meta') if isinstance(content, Mapping) else None
    if isinstance(meta, Mapping):
        return get_backbone_settings(meta)
    with suppress(CheckpointError):  # metadata of another program, or timm's model without a file
        return get_backbone_settings(read_description(resolve_file(source)))
    return {}
