"""Find the class names of a checkpoint, and compare them with those of the data."""

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS
from torch import nn

from ..errors import MANY, UserError, escape_controls, shorten


def find_class_names(meta: Any, dataset: ConfigDict, model: nn.Module) -> list[str]:
    """Return the checkpoint's class names or, if their number does not fit the model, those of the config's dataset.

    If neither fit, return ``class 0``, ``class 1``, ... (mmdet and mmseg would use the names of COCO or Cityscapes.)
    """
    counts = [getattr(module, 'num_classes', None) for module in model.modules()]
    count = max((count for count in counts if isinstance(count, int)), default=0)
    for dataset_meta in collect_dataset_metas(meta, dataset):
        names = dataset_meta.get('classes')
        if isinstance(names, (list, tuple)) and names and len(names) == (count or len(names)):
            return [escape_controls(str(name)) for name in names]
    return [f'class {label}' for label in range(count)]


def collect_dataset_metas(meta: Any, dataset: ConfigDict) -> list[dict[str, Any]]:
    """Return two dicts with ``classes`` and ``palette``: first the checkpoint's, then that of the config's dataset.

    Call this function in the config's default scope, because it looks up the dataset class in the default scope.
    """
    meta = meta if isinstance(meta, Mapping) else {}
    info = meta.get('dataset_meta')
    # Checkpoints of mmengine have dataset_meta. Those of mmcv 1.x have CLASSES and PALETTE.
    info = info if isinstance(info, Mapping) else {'classes': meta.get('CLASSES'), 'palette': meta.get('PALETTE')}
    with DATASETS.switch_scope_and_registry(None) as registry:
        dataset_class = registry.get(dataset.type) if isinstance(dataset.type, str) else dataset.type
    return [info, {**(getattr(dataset_class, 'METAINFO', None) or {}), **(dataset.get('metainfo') or {})}]


def check_class_names(checkpoint: str, trained: Sequence[str] | None, classes: Sequence[str] | None) -> None:
    """Raise a UserError if a checkpoint was trained on other classes than the data has, or in another order.

    Checkpoints without class names, such as published backbones, are not checked.
    """
    if isinstance(trained, list | tuple) and trained and classes and [*map(str, trained)] != [*map(str, classes)]:
        names = [f'{len(values)} classes {shorten([*map(str, values)], MANY)}' for values in (trained, classes)]
        raise UserError(
            f'{checkpoint} was trained on the {names[0]}, but the data has the {names[1]}. Use the config that the '
            'checkpoint was trained with, or give the data its classes in the same order'
        )
