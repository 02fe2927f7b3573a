"""What limits the use of published weights.

Names that only resemble those of the released files say nothing: people's own weights must not get
the limit of others'.
"""

import os
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ..host.files import compute_sha256, expand_user, is_url
from .grids import get_backbone_settings
from .released import SHA256, TAO_FILES, TIMM_SHA256

# The key for what limits the use of weights in the ``meta`` of a checkpoint, in the metadata of
# published weights, and in what a run on a folder of pictures notes of its start
LIMIT = 'weights_limit'
OF_AUTHORS = 'not for commercial use'
OF_TAO = "NVIDIA TAO's, said to be not for commercial use: read their model card"
# What limits the use of weights, by a regular expression of the addresses under which they are
# found: the repositories of the authors and of timm, all that timm:// reads, their folders in
# Hugging Face's cache, and clones of timm's repositories
ADDRESSES = {
    r'^timm://': OF_AUTHORS,
    r'^https?://(huggingface\.co|hf\.co)/(nvidia/GCViT|timm/gcvit_[a-z]+\.in1k)/': OF_AUTHORS,
    r'^https?://github\.com/NVlabs/GCVit/': OF_AUTHORS,
    r'(^|/)models--(nvidia--GCViT|timm--gcvit_[a-z]+\.in1k)/(snapshots|blobs)/[0-9a-f]{40}': (
        OF_AUTHORS
    ),
    r'(^|/)gcvit_(xxtiny|xtiny|tiny|small|base)\.in1k/(model\.safetensors|pytorch_model\.bin)$': (
        OF_AUTHORS
    ),
    r'^https?://(api|catalog)\.ngc\.nvidia\.com/.*/nvidia/(teams?/)?tao/': OF_TAO,
}
# By the name of a released file
NAMES = dict.fromkeys([*SHA256, *TIMM_SHA256], OF_AUTHORS) | dict.fromkeys(TAO_FILES, OF_TAO)


def find_limit(source: str) -> str | None:
    """Return what limits the use of weights according to their address or the name of their file,
    also that of a link's file.

    Return None for other weights.
    """
    for address in (source, os.path.realpath(expand_user(source))):
        path = urlsplit(address).path if is_url(address) else address
        limit = NAMES.get(PurePosixPath(path).name)
        if limit:
            return limit
        for pattern, limit in ADDRESSES.items():
            if re.search(pattern, address):
                return limit
    return None


def find_limit_by_content(source: str) -> str | None:
    """Return what limits the use of a file with the SHA-256 of a released one, under any name.

    Return None for other files, and for what is no file.
    """
    path = expand_user(source)
    if is_url(source) or not path.is_file():
        return None
    sha256 = compute_sha256(path)
    starts = [start for start in (*SHA256.values(), *TIMM_SHA256.values()) if start]
    return OF_AUTHORS if sha256.startswith(tuple(starts)) else None


def find_limit_of_model(source: str, meta: Mapping[str, Any]) -> str | None:
    """Return what limits the use of trained weights: by what their ``meta`` says, by their name or
    content, or by those of the weights from which their backbone started. Return None for others.
    """
    noted = meta.get(LIMIT)
    if isinstance(noted, str):
        return noted
    # Released files have no ``meta``; of a training's large files, the content is not compared.
    limit = find_limit(source) or (None if meta else find_limit_by_content(source))
    init_cfg = get_backbone_settings(meta).get('init_cfg')
    start = init_cfg.get('checkpoint') if isinstance(init_cfg, Mapping) else None
    if limit or not isinstance(start, str):
        return limit
    return find_limit(start) or find_limit_by_content(start)
