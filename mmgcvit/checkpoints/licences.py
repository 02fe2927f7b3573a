"""What limits the use of published weights."""

import os
import re
from collections.abc import Mapping
from typing import Any

from ..host.files import expand_user

# The key for what limits the use of weights in the ``meta`` of a checkpoint, in the metadata of
# published weights, and in what a run of ``train --data`` notes of its start
LIMIT = 'weights_limit'
# What limits the use of weights, by a regular expression of the paths, URLs and names under which
# they are found.
LIMITS = {
    # GC ViT's authors': their pages and files, timm's copies (all that timm:// reads), and Hugging
    # Face's cache.
    r'^timm:|^https?://[^/]+/(nvidia/|nvlabs/gcvit|timm/gcvit)|models--(nvidia--|timm--gcvit)|'
    r'gcvit_\w+\.in1k(/[^/]*)?$|gcvit_2?1k[^/]*$|nvidia[^/]*$': 'not for commercial use',
    r'nvimagenet[^/]*$|(dino|dd)_gcvit_tiny\d*_ep\d+[^/]*$|ngc\.nvidia\.com/': (
        "NVIDIA TAO's, said to be not for commercial use: read their model card"
    ),
}


def find_limit(source: str) -> str | None:
    """Return what limits the use of weights according to their name, also that of a link's file.

    Return None for other weights.
    """
    names = (source, os.path.realpath(expand_user(source)))
    for pattern, limit in LIMITS.items():
        if any(re.search(pattern, name, re.IGNORECASE) for name in names):
            return limit
    return None


def find_limit_of_model(source: str, meta: Mapping[str, Any]) -> str | None:
    """Return what limits the use of trained weights: by their name, by what their ``meta`` says, or
    by the name of the weights from which their backbone started. Return None for others.
    """
    noted = meta.get(LIMIT)
    if isinstance(noted, str):
        return noted
    settings: Any = meta
    for key in ('settings', 'model', 'backbone', 'init_cfg'):
        settings = settings.get(key) if isinstance(settings, Mapping) else None
    start = settings.get('checkpoint') if isinstance(settings, Mapping) else None
    return find_limit(source) or (find_limit(start) if isinstance(start, str) else None)
