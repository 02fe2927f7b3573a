"""Check that weights are those of a model: none is missing, none has no place, and all are finite.

torch and mmengine leave tensors that are missing at their initial values, and drop those for which
a model has no place. The outputs would be those of another model.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..errors import CheckpointError, MisfitError, format_count, shorten
from .grids import has_square_rows, is_position_table
from .translating import NOTHING, StateDict

WHOLE_NETWORK = 'Use a checkpoint of the whole network'
ADAPTERS = r'(^|\.)(lora_\w+|base_layer|adapters?|\w+_adapter)(\.|$)'
EMA_COPIES = r'^(steps|n_averaged)$|^ema_|(^|\.)(ema|ema_model|model_ema)\.'
# What tensors are that files have beside the weights of a network, and what to do, by a regular
# expression of their keys. The last is for all others.
KINDS = {
    ADAPTERS: (
        'They are adapters, such as the matrices of LoRA, without which the weights are others. '
        'Merge them into the weights in the program that wrote the file (peft: '
        'merge_and_unload()), and save the result'
    ),
    EMA_COPIES: (
        'They are copies of EMA or its counter. Save one set of weights, the averaged or the '
        'trained ones, without the others'
    ),
    r'(^|\.)(running_mean|running_var|num_batches_tracked)$': (
        'They are running statistics of batch norms, where the model has other norms or none. Use '
        'the config that the checkpoint was trained with'
    ),
    r'(^|\.)(relative_position_index|relative_coords_table)$': (
        'They are indices of a position bias table, where the model has no table. Use the config '
        'that the checkpoint was trained with'
    ),
    r'(^|\.)data_preprocessor\.\w+$': (
        "They are the file's mean and standard deviation of images, where the config's "
        'preprocessor has none. Set data_preprocessor as in the config that the checkpoint was '
        'trained with'
    ),
    '': (
        'Use the model that the checkpoint was trained with, or remove them from the file if they '
        'are not needed'
    ),
}


def check_fit(
    source: str,
    tensors: StateDict,
    expected: StateDict,
    model: str,
    advice: str = WHOLE_NETWORK,
    optional: str = NOTHING,
    foreign: Sequence[str] | None = None,
) -> None:
    """Raise a CheckpointError unless weights fit a model, a MisfitError if some are missing or have
    another shape.

    Args:
        source: Where they are from, for messages.
        tensors: The weights, with the model's keys.
        expected: The model's state dict, or the part of it that must be there. Its values may be on
            the meta device.
        model: The model's name in messages.
        advice: What to do if weights are missing or have another shape.
        optional: A regular expression of keys that may be missing.
        foreign: The keys for which the model has no place, by default all that are not expected.
    """
    if foreign is None:
        foreign = [name for name in tensors if name not in expected]
    # Adapters rename the weights of their layers, which would be found missing.
    check_no_adapters(source, foreign, model)
    check_complete(source, tensors, expected, advice, optional)
    check_no_foreign(source, foreign, model)
    # Buffers such as masks may contain infinity, and do so from the start.
    finite = [name for name, x in expected.items() if x.is_meta or x.isfinite().all()]
    check_finite(source, {name: tensors[name] for name in finite if name in tensors})


def check_complete(
    source: str, tensors: StateDict, expected: StateDict, advice: str, optional: str
) -> None:
    """Raise a MisfitError if tensors are missing, have another shape, or are ints instead of
    floats or vice versa (:func:`is_same_kind`). The arguments are those of :func:`check_fit`.
    """
    missing = [name for name in expected if name not in tensors and not re.match(optional, name)]
    if missing:
        raise MisfitError(f'{source} lacks {format_tensors(missing)} of the model. {advice}')
    invalid = []
    tables = []
    for name, wanted in expected.items():
        tensor = tensors.get(name, wanted)
        if is_same_kind(name, tensor, wanted):
            continue
        found, needed = (f'{tuple(x.shape)} {x.dtype}' for x in (tensor, wanted))
        invalid.append(f'{name} {found} instead of {needed}')
        if is_position_table(name, tensor) and not has_square_rows(tensor):
            tables.append(invalid[-1])
    if tables and len(tables) == len(invalid):
        raise MisfitError(
            f'{source} has {format_tensors(tables)} of windows or embedded maps that are not '
            'square, and does not say their shape, so they cannot be resized. Use the window_size '
            'and pretrain_img_size that it was trained with'
        )
    if invalid:
        raise MisfitError(
            f'{source} has {format_tensors(invalid)} with a wrong shape or dtype. {advice}'
        )


def is_same_kind(name: str, tensor: Tensor, wanted: Tensor) -> bool:
    """Return whether two tensors are both floats or ints and have one shape. A position table may
    have another square number of rows, since it is resized.
    """
    shape = list(tensor.shape)
    if is_position_table(name, tensor) and has_square_rows(tensor):
        shape[-2] = wanted.shape[-2]
    is_same_shape = shape == list(wanted.shape)
    return is_same_shape and tensor.is_floating_point() == wanted.is_floating_point()


def check_no_foreign(source: str, names: Sequence[str], model: str) -> None:
    """Raise a CheckpointError if there are ``names``, keys of a file for which a model has no
    place. ``model`` is its name in the message.
    """
    if not names:
        return
    found = {next(kind for kind in KINDS if re.search(kind, name)) for name in names}
    sentences = [sentence for kind, sentence in KINDS.items() if kind in found]
    raise CheckpointError(
        f'{source} has {format_tensors(names)} for which {model} has no place. '
        f'{". ".join(sentences)}'
    )


def check_no_adapters(source: str, names: Sequence[str], model: str) -> None:
    """Raise a CheckpointError if some of ``names``, keys of a file for which a model has no place,
    are those of adapters or EMA's copies.

    Call it before weights are found missing: adapters rename those of their layers.
    """
    pattern = f'{ADAPTERS}|{EMA_COPIES}'
    check_no_foreign(source, [name for name in names if re.search(pattern, name)], model)


def check_finite(source: str, tensors: Mapping[str, Tensor]) -> None:
    """Raise a CheckpointError that names the tensors with NaN or infinity."""
    invalid = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if invalid:
        raise CheckpointError(
            f'{source} has {format_tensors(invalid)} with NaN or infinity. Use an earlier '
            'checkpoint'
        )


def format_tensors(names: Sequence[str]) -> str:
    """Return for example ``2 tensors (a.weight, b.bias)``."""
    return f'{format_count(len(names), "tensor")} ({shorten(names)})'
