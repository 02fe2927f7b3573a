"""Fit a checkpoint to a model: check that it has all tensors of the model, and no others."""

import re
from math import isqrt

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from ..errors import CheckpointError, shorten
from .foreign import check_no_adapters, check_no_foreign, format_tensors
from .grids import Grids, attach_grids, read_grids
from .lora import add_initial_lora
from .safe_loading import Checkpoint
from .translating import BIAS_TABLE, StateDict
from .weights import check_finite, select_tensors

# Ends of the keys of position tables, which are resized to the model's size: one row for each
# position of a grid.
POSITION_TABLES = (BIAS_TABLE, 'pos_embed')
MODEL = "the config's model"
COUNTER = 'num_batches_tracked'
MEAN = 'running_mean'
EMA_STATE = 'ema_state_dict'  # a checkpoint's key for the state of mmengine's EMAHook
EMA_PREFIX = 'module.'  # of the names of the model's tensors in it
EMA_STEPS = 'steps'
WHOLE_NETWORK = 'Use a checkpoint of the whole network'


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
    tensors = content.get('state_dict', {})
    content['state_dict'] = fit_tensors(model, tensors, checkpoint.source, is_resumed)
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
    fitted = fit_tensors(model, own, source, is_resumed)
    content[EMA_STATE] = others | {f'{EMA_PREFIX}{name}': x for name, x in fitted.items()}


def fit_tensors(model: nn.Module, tensors: StateDict, source: str, is_resumed: bool) -> StateDict:
    """Return the tensors of a checkpoint that are a model's, all of them and no others
    (:func:`fit_checkpoint`).
    """
    loaded, expected = prepare_tensors(model, tensors, source, is_resumed)
    foreign = [name for name in loaded if name not in expected]
    check_no_adapters(source, foreign, MODEL)
    check_complete(source, loaded, expected, advice=advise_config(source, loaded))
    check_no_foreign(source, foreign, MODEL)
    # Buffers such as masks may contain infinity, and do so from the start.
    check_finite({name: loaded[name] for name, x in expected.items() if x.isfinite().all()}, source)
    return attach_grids(loaded, read_stripped_grids(tensors))


def check_complete(
    source: str,
    tensors: StateDict,
    expected: StateDict,
    optional: str = '(?!)',
    advice: str = WHOLE_NETWORK,
) -> None:
    """Raise a CheckpointError if tensors are missing, have another shape, or are ints instead of
    floats or vice versa.

    Names that match the regular expression ``optional`` may be missing. Position tables are resized
    if their numbers of rows are squares.
    """
    missing = []
    invalid = []
    for name, wanted in expected.items():
        if name not in tensors:
            if not re.match(optional, name):
                missing.append(name)
        elif not is_same_kind(name, tensors[name], wanted):
            found, needed = (f'{tuple(x.shape)} {x.dtype}' for x in (tensors[name], wanted))
            invalid.append(f'{name} {found} instead of {needed}')
    if missing:
        raise CheckpointError(f'{source} lacks {format_tensors(missing)} of the model. {advice}')
    if invalid:
        raise CheckpointError(
            f'{source} has {format_tensors(invalid)} with a wrong shape or dtype. {advice}'
        )


def is_same_kind(name: str, tensor: Tensor, wanted: Tensor) -> bool:
    """Return whether two tensors are both floats or ints and have one shape. A position table may
    have another square number of rows.
    """
    shape = list(tensor.shape)
    is_table = name.endswith(POSITION_TABLES) and tensor.ndim > 1
    if is_table and isqrt(shape[-2]) ** 2 == shape[-2]:
        shape[-2] = wanted.shape[-2]
    is_same_shape = shape == list(wanted.shape)
    return is_same_shape and tensor.is_floating_point() == wanted.is_floating_point()


def prepare_tensors(
    model: nn.Module, tensors: StateDict, source: str, is_resumed: bool
) -> tuple[StateDict, StateDict]:
    """Return the tensors of a checkpoint as the model's state dict would have them, and this state
    dict.

    LoRA matrices are fitted to the model (:func:`.add_initial_lora`). Buffers that the model has
    but does not save are removed if their values are the model's, and refused if not. A counter of
    batches that a batch norm's statistics lack, which is not used, is the model's.
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
    for name, module in model.named_modules():
        counter = strip_module_prefix(f'{name}.{COUNTER}')
        has_counter = isinstance(module, _NormBase) and module.momentum is not None
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


def read_stripped_grids(tensors: StateDict) -> Grids:
    """Return the grids of a state dict's position tables, without DistributedDataParallel's
    prefixes.
    """
    return {strip_module_prefix(name): grid for name, grid in read_grids(tensors).items()}


def strip_module_prefix(key: str) -> str:
    """Remove the prefixes that DistributedDataParallel adds to a key."""
    return re.sub(r'^(module\.)+', '', key)
