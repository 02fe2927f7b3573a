"""Parse the overridden settings of a command line."""

from argparse import Namespace
from collections.abc import Sequence
from typing import Any


def parse_cfg_options(texts: Sequence[str] | None) -> dict[str, Any]:
    """Parse overridden settings, texts of the form KEY=VALUE, as mmengine does."""
    if not texts:
        return {}
    from mmengine.config import DictAction

    namespace = Namespace(options={})
    DictAction([], 'options')(None, namespace, texts)
    return namespace.options
