"""Load a checkpoint into a backbone, completely or not at all."""

import re
from typing import Any

from mmengine.logging import print_log

from ..errors import CheckpointError, shorten
from .checks import WHOLE_NETWORK, check_fit, check_no_adapters
from .grids import resize_tables
from .intact import raise_checkpoint_error
from .lora import find_initial_lora, fit_lora
from .translating import Arch, ArchError, StateDict
from .weights import FINAL_NORM, Network, Weights

OUTPUT_NORMS = r'norm\d+\.'  # keys that a checkpoint may lack
# Parts that a checkpoint may have and a backbone not.
OPTIONAL_PARTS = r'(stages\.\d+|downsamplers\.\d+|norm\d+|final_norm|head)\.'


def load_pretrained(backbone: Any, weights: Weights) -> None:
    """Load weights, which :func:`read_weights` has read, into a backbone (a PyramidBackbone), and
    log one line about it.

    Output norms and LoRA matrices that the checkpoint lacks keep their initial values. LoRA
    matrices that the backbone lacks are merged into the weights. If the last stage is the only
    output, as in a classifier, its output norm gets the weights of the classifier's final norm. All
    other weights must be in the checkpoint. Position biases and embeddings of another size are
    resized.

    Raise a CheckpointError if the checkpoint is incomplete, or is of another network or arch.
    """
    network = type(backbone).__name__
    num_stages = backbone.num_stages
    model_tensors = backbone.state_dict()
    tensors = resize_tables(weights.tensors, backbone, weights.settings)
    fit_lora(tensors, model_tensors, weights.source)
    initial_lora = find_initial_lora(tensors, model_tensors)
    foreign = list_foreign(tensors, model_tensors)
    check_no_adapters(weights.source, foreign, f'the model ({network})')
    arch = backbone.infer_arch(model_tensors, num_stages)
    loaded_arch = infer_checkpoint_arch(weights, type(backbone), num_stages)
    if loaded_arch != arch:
        raise CheckpointError(
            f'{weights.source} has weights of {network} {loaded_arch}, but the model is {network} '
            f"{arch}. Use another checkpoint, or set the model's arch to that of the checkpoint"
        )
    # If several stages are outputs, all output norms keep their initial values, as in GC ViT's own
    # detection code.
    if tuple(backbone.out_indices) == (num_stages - 1,):  # as in a classifier
        last_norm = f'norm{num_stages - 1}.'
        tensors = {name.replace(FINAL_NORM, last_norm): tensor for name, tensor in tensors.items()}
    check_fit(
        weights.source,
        tensors | initial_lora,
        model_tensors,
        f'the model ({network})',
        optional=OUTPUT_NORMS,
        foreign=list_foreign(tensors, model_tensors),
    )
    matching = [name for name in tensors if name in model_tensors]
    read = tensors | weights.tensors  # before tables were resized
    resized = [name for name in matching if read[name].shape != model_tensors[name].shape]
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


def list_foreign(tensors: StateDict, model_tensors: StateDict, prefix: str = '') -> list[str]:
    """List the tensors of a checkpoint for which modules of the backbone have no place.

    Stages, output norms and a classifier's head that the backbone does not have at all are not
    listed. ``prefix`` is that of the backbone's keys.
    """
    foreign = []
    for name in tensors:
        if name in model_tensors:
            continue
        part = re.match(re.escape(prefix) + OPTIONAL_PARTS, name)
        if part is None or any(key.startswith(part[0]) for key in model_tensors):
            foreign.append(name)
    return foreign


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
        f'{weights.source} has only a part of {network.__name__}', WHOLE_NETWORK, (ArchError,)
    ):
        return network.infer_arch(weights.tensors, num_stages)
