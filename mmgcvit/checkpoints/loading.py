"""Load a checkpoint into a backbone, completely or not at all; and check that one fits a model of mmengine."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import CheckpointError, get_first_line, shorten
from ..mmengine_utils import get_running_statistics
from .weights import (
    FINAL_NORM,
    LORA,
    Weights,
    check_finite,
    check_grid,
    get_comparable_shape,
    get_table_type,
    read_weights,
)

OUTPUT_NORM = r'norm\d+\.'
WRAPPERS = re.compile(r'^(module\.)+')

Describe = Callable[[Mapping[str, Tensor]], str]


def load_pretrained(
    backbone: nn.Module, describe: Describe, checkpoint: str, prefix: str | None = None, ema: bool = False
) -> None:
    """Load a backbone's weights from a checkpoint of any known key mapping, and log one line about it.

    Output norms that the checkpoint lacks keep their initial values. A backbone whose only output is the last stage's,
    as in a classifier, takes a classifier's final norm for it.
    Everything else that the backbone has must be in the checkpoint. Position tables of other windows or grids are
    resized.

    Args:
        backbone: Loaded in place.
        describe: Formats the arch of a set of weights.
        checkpoint: A file, an http(s) URL, or ``timm://NAME``.
        prefix: Use the tensors with this prefix, if a file has several networks.
        ema: Use the EMA weights.

    Raises:
        CheckpointError: The checkpoint cannot be read, or is not this network's, or not this arch's.
    """
    network = type(backbone).__name__
    own = {name: tensor for name, tensor in backbone.state_dict().items() if not name.endswith(LORA)}
    ours = describe(own)
    try:
        weights = read_weights(checkpoint, prefix, ema)
    except CheckpointError as error:
        raise type(error)(f'{error}; the model is {network} {ours}') from None
    theirs = describe_arch(weights, type(backbone), describe)
    if theirs != ours:
        raise CheckpointError(f'{weights.source} has weights of {network} {theirs}; the model is {network} {ours}')
    tensors, has_final_norm = rename_final_norm(weights.tensors, backbone)
    fitting = {name: tensor for name, tensor in tensors.items() if name in own}
    check_complete(weights.source, fitting, own, OUTPUT_NORM)
    for name in filter(get_table_type, fitting):
        check_grid(name, fitting[name], weights.source, own[name])
    resized = sum(tensor.shape != own[name].shape for name, tensor in fitting.items())
    backbone.load_state_dict(fitting, strict=False)
    initial = [name for name in own if name not in fitting]
    norms = ', '.join(sorted({name.split('.')[0] for name in initial}))
    ignored = [*weights.ignored, *(name for name in tensors if name not in own)]
    print_log(
        f'{weights.key_mapping.network} {ours} from {weights.source} ({weights.key_mapping.name} keys'
        f'{", EMA" if weights.ema else ""}): {len(fitting)} tensors loaded; '
        f'{resized} of them position tables resized; '
        f'{len(initial)} left initial{f" (output norms {norms})" if norms else ""}; '
        f'{len(ignored)} ignored{f" ({shorten(ignored)})" if ignored else ""}'
        + ("; the classifier's final norm is the last output norm" if has_final_norm else ''),
        'current',
    )


def rename_final_norm(tensors: dict[str, Tensor], backbone: nn.Module) -> tuple[dict[str, Tensor], bool]:
    """Name a classifier's final norm as the last stage's output norm, if that is the backbone's only output.

    With maps of several stages all output norms begin at 1 and 0, as in the released detection code.

    Returns:
        The tensors, and whether they were renamed.
    """
    last = len(backbone.stage_dims) - 1
    norm = f'norm{last}.'
    has_norm, has_final = (any(name.startswith(start) for name in tensors) for start in (norm, FINAL_NORM))
    if tuple(backbone.out_indices) != (last,) or has_norm or not has_final:
        return tensors, False
    return {name.replace(FINAL_NORM, norm): tensor for name, tensor in tensors.items()}, True


def describe_arch(weights: Weights, network: type[nn.Module], describe: Describe) -> str:
    """Format the arch of weights; a CheckpointError if they are another network's."""
    if weights.key_mapping.network not in [base.__name__ for base in network.__mro__]:
        raise CheckpointError(
            f'{weights.source} has {weights.key_mapping.network} weights; the model is {network.__name__}'
        )
    try:
        return describe(weights.tensors)
    # Of tensors that are empty or have fewer dimensions.
    except (ValueError, LookupError, ZeroDivisionError) as error:
        raise CheckpointError(
            f'{weights.source} is an incomplete {network.__name__}: {get_first_line(error)}'
        ) from None


def check_complete(
    source: str, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], optional: str = '(?!)'
) -> None:
    """Raise a CheckpointError if weights lack a tensor, or have one of another shape, or integers for floats."""
    missing = [name for name in expected if name not in tensors and not re.match(optional, name)]
    if missing:
        raise CheckpointError(f'{source} lacks {len(missing)} tensors of the model: {shorten(missing)}')
    wrong = [
        f'{name} {tuple(tensor.shape)} of {tensor.dtype} instead of {tuple(expected[name].shape)}'
        for name, tensor in tensors.items()
        if name in expected
        and (
            get_comparable_shape(name, tensor) != get_comparable_shape(name, expected[name])
            or tensor.is_floating_point() != expected[name].is_floating_point()
        )
    ]
    if wrong:
        raise CheckpointError(f'{source} has {len(wrong)} tensors with a wrong shape or dtype: {shorten(wrong)}')


def check_fits(model: nn.Module, content: Mapping[str, Any], source: str, part: str = '') -> None:
    """Check that a checkpoint has every tensor of a model, or all under a prefix, for example ``backbone.``.

    mmengine loads what fits of what :func:`read_for_mmengine` gives, and leaves the rest at random. Position tables may
    differ, as they are resized; LoRA, which adds nothing at first, may be missing.

    Raises:
        CheckpointError: Tensors are missing, have other shapes, or are not finite.
    """
    held = {WRAPPERS.sub('', name): tensor for name, tensor in content.get('state_dict', {}).items()}
    own = {WRAPPERS.sub('', name): tensor for name, tensor in model.state_dict().items()}
    wanted = {name: x for name, x in own.items() if name.startswith(part) and (name in held or not name.endswith(LORA))}
    try:
        check_complete(source, {name: held[name] for name in wanted if name in held}, wanted)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}. So it does not fit the config's model; 'mmgcvit convert' makes a checkpoint of released weights "
            'and those of other code bases'
        ) from None
    for name in filter(get_table_type, wanted):
        check_grid(name, held[name], source, own[name])
    # Other buffers, such as masks, may hold infinity.
    names = {WRAPPERS.sub('', name) for name in [*dict(model.named_parameters()), *get_running_statistics(model)]}
    check_finite({name: held[name] for name in wanted if name in names}, source)
