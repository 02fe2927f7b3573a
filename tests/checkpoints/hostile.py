"""Objects that do something when they are unpickled."""

import os

from mmengine.logging.history_buffer import HistoryBuffer


class RunsACommand:
    """Unpickled, this touches a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch '{self.path}'",)


class LooksUpAnything:
    """Unpickled, this reaches for an attribute of a class that is allowed."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')
