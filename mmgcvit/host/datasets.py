"""Iterate over the datasets of a config and their transforms."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .config import LOADERS, iter_dicts

if TYPE_CHECKING:
    from mmengine.config import Config, ConfigDict


def iter_datasets(cfg: 'Config', loaders: Sequence[str]) -> Iterator[tuple[str, 'ConfigDict']]:
    """Yield (dataloader, settings) of each dataset, without its wrappers.

    A dataset is yielded once for training, and once for validation and test.
    """
    seen = []
    for name in loaders:
        for settings in iter_unwrapped_datasets((cfg.get(name) or {}).get('dataset')):
            use = settings, name == LOADERS[0]
            if use not in seen:
                seen.append(use)
                yield name, settings


def iter_unwrapped_datasets(dataset: 'ConfigDict | None') -> Iterator['ConfigDict']:
    """Yield the datasets inside (nested) wrappers such as RepeatDataset, ConcatDataset and
    MultiImageMixDataset.
    """
    if not dataset:
        return
    wrapped = [dataset.dataset] if 'dataset' in dataset else dataset.get('datasets')
    if wrapped is None:
        yield dataset
    for inner in wrapped or ():
        yield from iter_unwrapped_datasets(inner)


def iter_transforms(dataset: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Iterate over the transforms (dicts with a ``type``) in a dataset's pipeline, including nested
    ones.
    """
    return (transform for transform in iter_dicts(dataset.get('pipeline')) if 'type' in transform)


def get_dataset_class(dataset: 'ConfigDict') -> type | None:
    """Return the class of a dataset's ``type``: the class itself, or its name in the default scope.

    None if there is no such class.
    """
    from mmengine.registry import DATASETS

    if not isinstance(dataset.type, str):
        return dataset.type
    with DATASETS.switch_scope_and_registry(None) as registry:
        return registry.get(dataset.type)


def is_remote(dataset: 'ConfigDict') -> bool:
    """Return whether the files of a dataset are on a server."""
    paths = [dataset.get(key) for key in ('data_root', 'ann_file', 'data_prefix')]
    return bool(dataset.get('backend_args')) or any('://' in str(path) for path in paths)
