"""Walking through configs."""

from collections.abc import Callable
from typing import Any

from mmengine.config import ConfigDict

LOADERS = {'train_dataloader': 'train', 'val_dataloader': 'val', 'test_dataloader': 'val'}


def rewritten(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """A copy of a nested config in which every dict, the inner ones first, is what ``change`` makes of it."""
    if isinstance(value, dict):
        return ConfigDict(change({key: rewritten(inner, change) for key, inner in value.items()}))
    if isinstance(value, (list, tuple)):
        return type(value)(rewritten(inner, change) for inner in value)
    return value


def as_list(value: Any) -> list[Any]:
    """A list as it is, nothing as an empty one, anything else as the only entry."""
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
