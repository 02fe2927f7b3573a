"""What mmengine's runners and data loaders give: their model, its running statistics, the images of a batch."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

# In a message.
IMAGES_NAMED = 16


def names_of(batch: Any) -> list[str]:
    """The images of a batch that a host's data loader gives; of others than a mapping with ``data_samples`` none."""
    samples = batch.get('data_samples') if isinstance(batch, Mapping) else None
    return [name_of(sample) for sample in samples] if isinstance(samples, Sequence) else []


def suspects(batch: Any) -> list[str]:
    """The images of a batch with pixels that are not finite; where none has, all images."""
    names = names_of(batch)
    images = batch.get('inputs', ()) if names else ()
    return [
        name
        for name, image in zip(names, images, strict=False)
        if isinstance(image, Tensor) and not torch.isfinite(image).all()
    ] or names


def name_of(sample: Any) -> str:
    """The path of a sample's image; its number in the data set where that holds the images themselves."""
    return sample.get('img_path') or f'number {sample.get("sample_idx")} of the data set'


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
