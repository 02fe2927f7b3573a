"""Load a checkpoint into a backbone, completely or not at all; check that a checkpoint fits an
mmengine model.
"""

import re
from math import isqrt

from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import CheckpointError, shorten
from .lora import add_initial_lora, find_initial_lora, fit_lora
from .reading import raise_checkpoint_error
from .safe_loading import Checkpoint
from .translating import StateDict
from .weights import BIAS_TABLE, FINAL_NORM, Arch, Network, Weights, check_finite, format_tensors

# Ends of the keys of position tables, which are resized to the model's size: one row for each
# position of a grid.
POSITION_TABLES = (BIAS_TABLE, 'pos_embed')
OUTPUT_NORMS = r'norm\d+\.'  # keys that a checkpoint may lack
WHOLE_NETWORK = 'Use a checkpoint of the whole network'


def load_pretrained(backbone: nn.Module, weights: Weights) -> None:
    """Load weights, which :func:`read_weights` has read, into a backbone, and log one line about
    it.

    Output norms and LoRA matrices that the checkpoint lacks keep their initial values. LoRA matrices
    that the backbone lacks are merged into the weights. If the last stage is the only
    output, as in a classifier, its output norm gets the weights of the classifier's final norm. All
    other weights must be in the checkpoint. Position biases and embeddings of another size are
    resized.

    Raise a CheckpointError if the checkpoint is incomplete, or is of another network or arch.
    """
    network = type(backbone).__name__
    num_stages = backbone.num_stages
    model_tensors = backbone.state_dict()
    arch = backbone.infer_arch(model_tensors, num_stages)
    loaded_arch = infer_checkpoint_arch(weights, type(backbone), num_stages)
    if loaded_arch != arch:
        raise CheckpointError(
            f'{weights.source} has weights of {network} {loaded_arch}, but the model is {network} '
            f"{arch}. Use another checkpoint, or set the model's arch to that of the checkpoint"
        )
    tensors = dict(weights.tensors)
    fit_lora(tensors, model_tensors, weights.source)
    initial_lora = find_initial_lora(tensors, model_tensors)
    # If several stages are outputs, all output norms keep their initial values, as in GC ViT's own
    # detection code.
    if tuple(backbone.out_indices) == (num_stages - 1,):  # as in a classifier
        last_norm = f'norm{num_stages - 1}.'
        tensors = {name.replace(FINAL_NORM, last_norm): tensor for name, tensor in tensors.items()}
    check_complete(weights.source, tensors | initial_lora, model_tensors, OUTPUT_NORMS)
    matching = {name: tensor for name, tensor in tensors.items() if name in model_tensors}
    resized = [name for name, x in matching.items() if x.shape != model_tensors[name].shape]
    initial, unexpected = backbone.load_state_dict(tensors | initial_lora, strict=False)
    unused = weights.unused + unexpected
    norms = ', '.join(sorted({name.split('.')[0] for name in initial}))
    print_log(
        f'{weights.network.__name__} {arch} from {weights.source} ({weights.key_mapping.name} keys'
        f'{", EMA" if weights.ema else ""}): {len(matching)} tensors loaded; {len(resized)} '
        f'position biases or embeddings resized; {len(initial)} keep initial values'
        f'{f" (output norms {norms})" if norms else ""}; {len(unused)} in the file are unused'
        f'{f" ({shorten(unused)})" if unused else ""}'
        f'{f"; {len(initial_lora)} LoRA matrices are new" if initial_lora else ""}',
        'current',
    )


def infer_checkpoint_arch(
    weights: Weights, network: Network, num_stages: int | None = None
) -> Arch:
    """Infer the arch of weights.

    Raise a CheckpointError if they are incomplete or of another network.
    """
    if not issubclass(network, weights.network):
        raise CheckpointError(
            f'{weights.source} has weights of {weights.network.__name__}, but the model is '
            f'{network.__name__}. Use a checkpoint of {network.__name__}'
        )
    with raise_checkpoint_error(
        f'{weights.source} has only a part of {network.__name__}', WHOLE_NETWORK
    ):
        return network.infer_arch(weights.tensors, num_stages)


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


def check_fits(model: nn.Module, checkpoint: Checkpoint, prefix: str = '') -> None:
    """Check that a checkpoint has all tensors of a model, or all whose names begin with a prefix
    such as ``backbone.``. Fit its LoRA matrices to the model (:func:`.add_initial_lora`).

    Without this check mmengine leaves tensors that do not fit at their initial values. Raise a
    CheckpointError for missing, misfitting or infinite tensors, and NaN. Remove prefixes of
    DistributedDataParallel from the checkpoint's keys.
    """
    source = checkpoint.source
    loaded = remove_module_prefix(checkpoint.content.get('state_dict', {}))
    model_tensors = remove_module_prefix(model.state_dict())
    loaded = add_initial_lora(loaded, model_tensors, source, checkpoint.is_resumed)
    if prefix:  # mmengine would list all other keys
        loaded = {name: tensor for name, tensor in loaded.items() if name in model_tensors}
    checkpoint.content['state_dict'] = loaded
    expected = {name: tensor for name, tensor in model_tensors.items() if name.startswith(prefix)}
    advice = (
        f"The checkpoint, with the keys {shorten(list(loaded))}, does not fit the config's model. "
        "Use the config that the checkpoint was trained with. If it comes from the authors' code, "
        f"timm or NVIDIA TAO, first run 'mmgcvit convert {source} NEW.pth'"
    )
    check_complete(source, loaded, expected, advice=advice)
    # Buffers such as masks may contain infinity, and do so from the start.
    finite = {name: loaded[name] for name, x in expected.items() if x.isfinite().all()}
    check_finite(finite, source)


def remove_module_prefix(tensors: StateDict) -> StateDict:
    """Remove the prefixes that DistributedDataParallel adds to keys."""
    return {re.sub(r'^(module\.)+', '', name): tensor for name, tensor in tensors.items()}
