"""What limits the use of published weights."""

import os
import re

from ..files import expand_user

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
