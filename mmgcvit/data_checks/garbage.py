"""Python's search for garbage, put off."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def put_off() -> Iterator[None]:
    """Have Python not look for garbage in a block that makes millions of objects, none of them garbage.

    With a file of COCO's size the search takes longer than all else.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
