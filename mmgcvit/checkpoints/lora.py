"""LoRA matrices in checkpoints: a model with LoRA takes them, into the weights of others they are
merged.

A layer has the keys ``weight``, ``lora_down`` (rank, C) and ``lora_up`` (C', rank), and its merged
weight (C', C) is ``weight + lora_up @ lora_down``.
"""

import re
from collections.abc import Mapping

import torch
from mmengine.logging import print_log
from torch import Tensor

from ..errors import CheckpointError, format_count
from .translating import StateDict

LORA_KEY = re.compile(r'(.+\.)lora_(?:down|up)')  # with the prefix of the layer's keys


def fit_lora(
    tensors: StateDict, model_tensors: Mapping[str, Tensor], source: str, prefix: str = ''
) -> None:
    """Merge the LoRA matrices of all layers that have none in the model into their weights, in
    place.

    Only keys that begin with ``prefix`` are read. ``model_tensors`` is the model's state dict.
    Raise a CheckpointError that names ``source`` if a layer's matrices do not fit each other, its
    weight or the model.
    """
    matches = map(LORA_KEY.fullmatch, [name for name in tensors if name.startswith(prefix)])
    for layer in dict.fromkeys(match[1] for match in matches if match):
        parts = ('weight', 'lora_up', 'lora_down')
        names = [layer + part for part in parts]
        missing = [part for part in parts if layer + part not in tensors]
        if missing:
            raise CheckpointError(
                f'{source} has LoRA matrices of {layer[:-1]} without its {" and ".join(missing)}. '
                'Use the checkpoint as the run has written it'
            )
        weight, up, down = (tensors[name] for name in names)
        is_product = up.ndim == down.ndim == 2 and up.shape[1] == down.shape[0]
        if not is_product or (up.shape[0], down.shape[1]) != weight.shape:
            raise CheckpointError(
                f'{source} has LoRA matrices of {layer[:-1]} that do not fit its weight: '
                f'{tuple(up.shape)} and {tuple(down.shape)} for {tuple(weight.shape)}. Use the '
                'checkpoint as the run has written it'
            )
        expected = model_tensors.get(names[2])
        if expected is None:
            # Merged in float32 at least, and rounded once.
            precise = torch.promote_types(weight.dtype, torch.float32)
            merged = weight.to(precise) + up.to(precise) @ down.to(precise)
            tensors[names[0]] = merged.to(weight.dtype)
            del tensors[names[1]], tensors[names[2]]
        elif len(expected) != len(down):
            raise CheckpointError(
                f'{source} has LoRA matrices of rank {len(down)} in {layer[:-1]}, and the model '
                f'has rank {len(expected)}. Set lora_rank={len(down)}, or '
                'merge them into the weights first (mmgcvit publish)'
            )


def merge_lora(tensors: StateDict, source: str) -> StateDict:
    """Return tensors whose LoRA matrices are merged into the weights.

    Raise a CheckpointError as :func:`fit_lora` does.
    """
    merged = dict(tensors)
    fit_lora(merged, {}, source)
    return merged


def add_initial_lora(
    tensors: StateDict, model_tensors: Mapping[str, Tensor], source: str, is_resumed: bool
) -> StateDict:
    """Return tensors that fit a model's LoRA (:func:`fit_lora`), with the model's own matrices
    where there are none, and log a line if there are some.

    If a run is resumed, there must be exactly the model's matrices, as the optimizer's state is
    theirs. Otherwise raise a CheckpointError, also where :func:`fit_lora` does.
    """
    fitted = dict(tensors)
    fit_lora(fitted, model_tensors, source)
    initial = find_initial_lora(fitted, model_tensors)
    if is_resumed and (initial or len(fitted) < len(tensors)):
        raise CheckpointError(
            f"{source} does not have the LoRA matrices of the config's model, but a run is resumed "
            'with the lora_rank of its start. For another one, start a run from this checkpoint '
            '(load_from)'
        )
    if initial and any(map(LORA_KEY.fullmatch, fitted)):
        print_log(
            f'{source} has no LoRA matrices of {format_count(len(initial) // 2, "layer")} of the '
            'model. They keep their initial values, which change no output',
            'current',
        )
    return fitted | initial


def find_initial_lora(tensors: StateDict, model_tensors: Mapping[str, Tensor]) -> StateDict:
    """Return a model's LoRA matrices that ``tensors`` lack. With their initial values, B = 0, they
    change no output.
    """
    return {
        name: tensor
        for name, tensor in model_tensors.items()
        if LORA_KEY.fullmatch(name) and name not in tensors
    }
