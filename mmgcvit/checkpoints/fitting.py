"""Fit a checkpoint to a model: check that it has all tensors of the model, and no others."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointError, shorten
from ..host.private_api import may_count_batches
from .checks import check_fit
from .grids import BACKBONE, get_backbone_settings, resize_tables
from .lora import add_initial_lora
from .safe_loading import EMA_STATE, Checkpoint
from .translating import StateDict
from .weights import select_tensors

MODEL = "the config's model"
COUNTER = 'num_batches_tracked'
MEAN = 'running_mean'
EMA_PREFIX = 'module.'  # of the names of the model's tensors in the state of EMA
EMA_STEPS = 'steps'


def fit_checkpoint(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Fit a checkpoint's weights to a model: all tensors of the model, and no others. The
    checkpoint's ``content`` is changed, as mmengine loads it from there.

    LoRA matrices are fitted to the model (:func:`.add_initial_lora`). Prefixes of
    DistributedDataParallel and buffers that the model computes itself are removed. The same holds
    for the weights that EMA keeps beside them. Raise a CheckpointError for missing, misfitting,
    foreign or infinite tensors, and NaN: mmengine would leave tensors that do not fit at their
    initial values, and drop those for which the model has no place.
    """
    content = checkpoint.content
    is_resumed = checkpoint.is_resumed
    settings = get_backbone_settings(content.get('meta', {}))
    tensors = content.get('state_dict', {})
    content['state_dict'] = fit_tensors(model, tensors, checkpoint.source, is_resumed, settings)
    if EMA_STATE not in content:
        return
    # mmengine's EMAHook saves a wrapper of the model, which counts its steps.
    source = f'{checkpoint.source} ({EMA_STATE})'
    state = select_tensors(content[EMA_STATE])
    own = {name: x for name, x in state.items() if name.startswith(EMA_PREFIX)}
    others = {name: x for name, x in state.items() if name not in own}
    if EMA_STEPS not in others:
        raise CheckpointError(
            f'{source} lacks {EMA_STEPS}, the number of its averages, so a run cannot resume from '
            'it. Use another checkpoint, or start a run from its weights (load_from)'
        )
    own = {name.removeprefix(EMA_PREFIX): x for name, x in own.items()}
    fitted = fit_tensors(model, own, source, is_resumed, settings)
    content[EMA_STATE] = others | {f'{EMA_PREFIX}{name}': x for name, x in fitted.items()}


def fit_tensors(
    model: nn.Module,
    tensors: StateDict,
    source: str,
    is_resumed: bool,
    settings: Mapping[str, Any],
) -> StateDict:
    """Return the tensors of a checkpoint that are a model's, all of them and no others
    (:func:`fit_checkpoint`).
    """
    loaded, expected = prepare_tensors(model, tensors, source, is_resumed, settings)
    check_fit(source, loaded, expected, MODEL, advise_config(source, loaded))
    return loaded


def prepare_tensors(
    model: nn.Module,
    tensors: StateDict,
    source: str,
    is_resumed: bool,
    settings: Mapping[str, Any],
) -> tuple[StateDict, StateDict]:
    """Return the tensors of a checkpoint as the model's state dict would have them, and this state
    dict.

    LoRA matrices are fitted to the model (:func:`.add_initial_lora`). Buffers that the model has
    but does not save are removed if their values are the model's, and refused if not. A counter of
    batches that a batch norm's statistics lack, which is not used, is the model's. Position tables
    of the backbone are resized, if its ``settings`` say their grids (:func:`.resize_tables`).
    """
    loaded = remove_module_prefix(tensors)
    expected = remove_module_prefix(model.state_dict())
    loaded = add_initial_lora(loaded, expected, source, is_resumed)
    buffers = remove_module_prefix(dict(model.named_buffers()))
    for name in buffers.keys() - expected.keys():
        if name in loaded and not torch.equal(loaded.pop(name).cpu(), buffers[name].cpu()):
            raise CheckpointError(
                f"{source} has other values of the buffer {name} than the config's "
                'model, which computes it from the config. Use the config that the checkpoint was '
                'trained with'
            )
    modules = {strip_module_prefix(name): module for name, module in model.named_modules()}
    backbone = modules.get(BACKBONE.removesuffix('.'))
    if backbone is not None:
        loaded = resize_tables(loaded, backbone, settings, BACKBONE)
    for name, module in modules.items():
        counter = f'{name}.{COUNTER}'
        has_counter = may_count_batches(module) and module.momentum is not None
        if has_counter and counter in expected and counter.replace(COUNTER, MEAN) in loaded:
            loaded.setdefault(counter, expected[counter])
    return loaded, expected


def advise_config(source: str, loaded: StateDict) -> str:
    """Return what to do if a checkpoint does not fit the config's model."""
    return (
        f"The checkpoint, with the keys {shorten(list(loaded))}, does not fit the config's model. "
        "Use the config that the checkpoint was trained with. If it comes from the authors' code, "
        f"timm or NVIDIA TAO, first run 'mmgcvit convert {source} NEW.pth'"
    )


def remove_module_prefix(tensors: StateDict) -> StateDict:
    """Remove the prefixes that DistributedDataParallel adds to keys."""
    return {strip_module_prefix(name): tensor for name, tensor in tensors.items()}


def strip_module_prefix(key: str) -> str:
    """Remove the prefixes that DistributedDataParallel adds to a key."""
    return re.sub(r'^(module\.)+', '', key)
