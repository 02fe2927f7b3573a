"""The paths of data in a config: list them, and replace them after files have moved."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ...datasets.checks.sources import list_local_paths
from ...host.config import LOADERS, iter_dicts
from ...host.datasets import iter_datasets

# The variables of a config of ``train --data`` that are paths, or have some.
PATH_VARIABLE = re.compile(r'(train|val|test)_(images|annotations|list|labels)')
DATASET_VARIABLE = re.compile(r'(train|val|test)_(dataset|dataloader|evaluator)')
Locate = Callable[[str], str]  # Return where a path of a config leads now


def list_paths(cfg: Config) -> list[Path]:
    """List the annotation files and image folders of a config's dataloaders."""
    paths = []
    for _, dataset in iter_datasets(cfg, LOADERS):
        paths += list_local_paths(dataset)
    return paths


def replace_paths(cfg: Config, locate: Locate) -> None:
    """Replace the paths of data in a config by what ``locate`` returns for them."""
    parts = [value for name, value in cfg.items() if DATASET_VARIABLE.fullmatch(name)]
    for settings in iter_dicts(*parts):
        replace_in_dataset(settings, locate)
    if not cfg.get('data_root'):
        for name, value in cfg.items():
            if PATH_VARIABLE.fullmatch(name) and isinstance(value, str) and value:
                cfg[name] = locate(value)


def replace_in_dataset(settings: dict[str, Any], locate: Locate) -> None:
    """Replace the paths in the settings of a dataset or metric. Those of other modules have none.

    With a ``data_root``, relative paths start there, so that only it is replaced.
    """
    root = settings.get('data_root')
    if root:
        settings['data_root'] = locate(root)

    def replace(path: Any) -> Any:
        # A dataset of one's own may have None or a list, which are not looked at.
        if not isinstance(path, str) or not path or '://' in path:
            return path
        is_below_root = root and not Path(path).is_absolute()
        return path if is_below_root else locate(path)

    if 'ann_file' in settings:
        settings['ann_file'] = replace(settings['ann_file'])
    prefix = settings.get('data_prefix')
    if isinstance(prefix, str):
        settings['data_prefix'] = replace(prefix)
    elif prefix:
        for name, path in prefix.items():
            prefix[name] = replace(path)
