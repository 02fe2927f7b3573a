"""What the metadata of published weights say beside the confidence thresholds: the names of the
classes, the backbone, and what limits the use of the weights.

They become entries of a checkpoint's ``meta``, where those of a training are too.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from .licences import LIMIT
from .reading import read_metadata

CLASSES = 'classes'
BACKBONE = 'backbone'
# The settings of the backbone by which ``--start`` knows the size of a network
BACKBONE_KEYS = ('type', 'arch')
# The key of a checkpoint's ``meta`` for the run's settings in types of JSON (:mod:`mmgcvit.runs.folder`)
SETTINGS = 'settings'


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
    settings = {key: backbone[key] for key in BACKBONE_KEYS if key in backbone}
    if all(isinstance(value, str | Mapping) for value in settings.values()):  # no class or function
        entries[BACKBONE] = settings
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
            key: json.loads(metadata[key]) for key in (CLASSES, BACKBONE, LIMIT) if key in metadata
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
    if isinstance(entries.get(BACKBONE), dict):
        meta[SETTINGS] = {'model': {'backbone': entries[BACKBONE]}}
    if isinstance(entries.get(LIMIT), str):
        meta[LIMIT] = entries[LIMIT]
    return meta
