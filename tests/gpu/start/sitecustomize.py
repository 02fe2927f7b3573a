"""Python runs this when it starts: transformers is not there, whatever the machine has.

mmpretrain's models do not import beside transformers 5, and mmdet imports them; they ask for its distribution first.
"""

import sys
from importlib import metadata

HIDDEN = 'transformers'
from_name = metadata.Distribution.from_name


def from_name_but_hidden(name):
    if name == HIDDEN:
        raise metadata.PackageNotFoundError(name)
    return from_name(name)


metadata.Distribution.from_name = staticmethod(from_name_but_hidden)
sys.modules[HIDDEN] = None
