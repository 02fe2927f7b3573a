"""Refuse tensors of a file for which a model has no place, and say what they are and what to do.

torch and mmengine drop such tensors. The outputs would be those of a model without them.
"""

import re
from collections.abc import Sequence

from ..errors import CheckpointError, format_count, shorten

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


def format_tensors(names: Sequence[str]) -> str:
    """Return for example ``2 tensors (a.weight, b.bias)``."""
    return f'{format_count(len(names), "tensor")} ({shorten(names)})'
