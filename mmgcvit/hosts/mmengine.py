"""Which images a batch holds, for messages."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

NAMED_AT_MOST = 16


def names_of(batch: Any) -> list[str]:
    """The images of a batch.

    Args:
        batch: What a host's data loader gives. Of others than a mapping with ``data_samples``, nothing is known.
    """
    samples = batch.get('data_samples') if isinstance(batch, Mapping) else None
    return [name_of(sample) for sample in samples] if isinstance(samples, Sequence) else []


def suspects(batch: Any) -> list[str]:
    """The images of a batch with pixels that are not finite; where none has, all images."""
    names = names_of(batch)
    images = batch.get('inputs', ()) if names else ()
    return [name for name, image in zip(names, images, strict=False) if is_spoiled(image)] or names


def name_of(sample: Any) -> str:
    """The path of a sample's image; its number in the data set where that holds the images themselves."""
    return sample.get('img_path') or f'number {sample.get("sample_idx")} of the data set'


def is_spoiled(image: Any) -> bool:
    """Whether an image has pixels that are not finite."""
    return isinstance(image, Tensor) and not bool(torch.isfinite(image).all())


def in_words(names: Sequence[str]) -> str:
    """So many names as a line may hold."""
    some = ', '.join(names[:NAMED_AT_MOST])
    return f'{some} and {len(names) - NAMED_AT_MOST} more' if len(names) > NAMED_AT_MOST else some or 'unknown'


def plain_model(runner: Any) -> nn.Module:
    """A runner's model without the wrapper for several processes."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def running_statistics(model: nn.Module) -> dict[str, Tensor]:
    """What normalisation layers keep of the batches that they have seen, by its name in the model."""
    return {
        f'{prefix}.{name}' if prefix else name: buffer
        for prefix, module in model.named_modules()
        if isinstance(module, _NormBase)
        for name, buffer in module.named_buffers(recurse=False)
    }
