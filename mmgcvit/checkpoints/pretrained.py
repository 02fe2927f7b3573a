"""Load a checkpoint into a backbone, completely or not at all; check that a checkpoint fits an
mmengine model.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isqrt

from mmengine.logging import print_log
from torch import Tensor, nn

from ..errors import CheckpointError, format_count, get_first_line, shorten
from .safe_loading import Checkpoint
from .weights import BIAS_TABLE, FINAL_NORM, Arch, Weights, check_finite, get_running_statistics

MODULE_PREFIX = re.compile(r'^(module\.)+')  # which DistributedDataParallel adds to keys
LORA_SUFFIXES = ('.lora_up', '.lora_down')  # of LoRALinear's own parameters
# Ends of the keys of position tables, which are resized to the model's size: one row for each
# position of a grid.
POSITION_TABLES = (BIAS_TABLE, 'pos_embed')
WHOLE_NETWORK = 'Use a checkpoint of the whole network'


def load_pretrained(backbone: nn.Module, weights: Weights) -> None:
    """Load weights, which :func:`read_weights` has read, into a backbone, and log one line about
    it.

    Output norms that the checkpoint lacks, and the backbone's LoRA parameters, keep their initial
    values. If the last stage is the only output, as in a classifier, its output norm gets the
    weights of the classifier's final norm. All other weights must be in the checkpoint. Position
    biases and embeddings of another size are resized.

    Raise a CheckpointError if the checkpoint is incomplete, or is of another network or arch.
    """
    network = type(backbone).__name__
    model_tensors = {
        name: tensor
        for name, tensor in backbone.state_dict().items()
        if not name.endswith(LORA_SUFFIXES)
    }
    arch = backbone.infer_arch(model_tensors, backbone.num_stages)
    loaded_arch = infer_checkpoint_arch(weights, type(backbone), backbone.num_stages)
    if loaded_arch != arch:
        problem = f'{weights.source} has weights of {network} {loaded_arch}, but the model is {network} {arch}'
        raise CheckpointError(
            f"{problem}. Use another checkpoint, or set the model's arch to that of the checkpoint"
        )
    tensors, last_norm = weights.tensors, f'norm{backbone.num_stages - 1}.'
    has_norm, has_final_norm = (f'{norm}weight' in tensors for norm in (last_norm, FINAL_NORM))
    # If several stages are outputs, all output norms keep their initial values, as in GC ViT's own
    # detection code.
    use_final_norm = (
        has_final_norm
        and not has_norm
        and tuple(backbone.out_indices) == (backbone.num_stages - 1,)
    )
    if use_final_norm:
        tensors = {name.replace(FINAL_NORM, last_norm): tensor for name, tensor in tensors.items()}
    matching = {name: tensor for name, tensor in tensors.items() if name in model_tensors}
    check_complete(weights.source, matching, model_tensors, r'norm\d+\.')
    resized = sum(tensor.shape != model_tensors[name].shape for name, tensor in matching.items())
    backbone.load_state_dict(matching, strict=False)
    initial = [name for name in model_tensors if name not in matching]
    norms = ', '.join(sorted({name.split('.')[0] for name in initial}))
    unused = [*weights.unused, *(name for name in tensors if name not in model_tensors)]
    print_log(
        f'{weights.network.__name__} {arch} from {weights.source} ({weights.key_mapping.name} keys'
        f'{", EMA" if weights.ema else ""}): {len(matching)} tensors loaded; '
        f'{resized} position biases or embeddings resized; '
        f'{len(initial)} keep initial values{f" (output norms {norms})" if norms else ""}; '
        f'{len(unused)} in the file are unused{f" ({shorten(unused)})" if unused else ""}'
        + (
            "; the last output norm has the weights of the classifier's final norm"
            if use_final_norm
            else ''
        ),
        'current',
    )


def infer_checkpoint_arch(
    weights: Weights, network: type[nn.Module], num_stages: int | None = None
) -> Arch:
    """Infer the arch of weights.

    Raise a CheckpointError if they are incomplete or of another network.
    """
    if not issubclass(network, weights.network):
        problem = f'{weights.source} has weights of {weights.network.__name__}, but the model is {network.__name__}'
        raise CheckpointError(f'{problem}. Use a checkpoint of {network.__name__}')
    with reject_part(weights.source, network.__name__):
        return network.infer_arch(weights.tensors, num_stages)


@contextmanager
def reject_part(source: str, network: str) -> Iterator[None]:
    """Turn errors of inferring the arch from incomplete weights, or of building it, into a
    CheckpointError.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, ZeroDivisionError, RuntimeError) as error:
        reason = get_first_line(error)
        raise CheckpointError(
            f'{source} has only a part of {network} ({reason}). {WHOLE_NETWORK}'
        ) from None


def check_complete(
    source: str,
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    optional: str | None = None,
    advice: str = WHOLE_NETWORK,
) -> None:
    """Raise a CheckpointError if tensors are missing, have another shape, or are ints instead of
    floats or vice versa.

    Names that match the regular expression ``optional`` may be missing. Position tables are resized
    if their numbers of rows are squares.
    """
    missing = [
        name
        for name in expected
        if name not in tensors and not (optional and re.match(optional, name))
    ]
    if missing:
        count = format_count(len(missing), 'tensor')
        raise CheckpointError(f'{source} lacks {count} of the model ({shorten(missing)}). {advice}')
    invalid = []
    for name in [name for name in tensors if name in expected]:
        tensor, wanted, is_table = tensors[name], expected[name], name.endswith(POSITION_TABLES)
        sizes = [(*x.shape[:-2], *x.shape[-1:]) if is_table else x.shape for x in (tensor, wanted)]
        if sizes[0] != sizes[1] or tensor.is_floating_point() != wanted.is_floating_point():
            found, needed = (f'{tuple(x.shape)} {x.dtype}' for x in (tensor, wanted))
            invalid.append(f'{name} {found} instead of {needed}')
        elif (
            is_table
            and tensor.shape != wanted.shape
            and isqrt(tensor.shape[-2]) ** 2 != tensor.shape[-2]
        ):
            expected = 'Expected a square number: use a checkpoint of a model with square windows and images'
            raise CheckpointError(f'{source}: {name} has {tensor.shape[-2]} rows. {expected}')
    if invalid:
        count = format_count(len(invalid), 'tensor')
        raise CheckpointError(
            f'{source} has {count} with a wrong shape or dtype ({shorten(invalid)}). {advice}'
        )


def check_fits(model: nn.Module, checkpoint: Checkpoint, prefix: str = '') -> None:
    """Check that a checkpoint has all tensors of a model, or all whose names begin with a prefix
    such as ``backbone.``.

    Without this check mmengine leaves tensors that do not fit at their initial values. LoRA
    parameters may be missing: their initial values change no output. Raise a CheckpointError for
    missing, misfitting or infinite tensors, and NaN. Remove prefixes of DistributedDataParallel,
    and of a module with the model (Lightning), from the checkpoint's keys.
    """
    source, state_dict = checkpoint.source, checkpoint.content.get('state_dict', {})
    loaded = {MODULE_PREFIX.sub('', name): tensor for name, tensor in state_dict.items()}
    model_tensors = {
        MODULE_PREFIX.sub('', name): tensor for name, tensor in model.state_dict().items()
    }
    first = next(iter(model_tensors))
    prefixes = [name.removesuffix(first) for name in loaded if name.endswith(f'.{first}')]
    if len(prefixes) == 1 and first not in loaded:
        loaded = {name.removeprefix(prefixes[0]): tensor for name, tensor in loaded.items()}
    checkpoint.content['state_dict'] = loaded
    needed = [name for name in model_tensors if name in loaded or not name.endswith(LORA_SUFFIXES)]
    expected = {name: model_tensors[name] for name in needed if name.startswith(prefix)}
    advice = (
        f"The checkpoint, with the keys {shorten(list(loaded))}, does not fit the config's model. "
        'Use the config that '
        "the checkpoint was trained with. If it comes from the authors' code, timm or NVIDIA TAO, "
        "first run 'mmgcvit "
        f"convert {source} NEW.pth'"
    )
    check_complete(
        source, {name: loaded[name] for name in expected if name in loaded}, expected, advice=advice
    )
    # Only parameters and running statistics must be finite. Other buffers, such as masks, may
    # contain infinity.
    names = {
        MODULE_PREFIX.sub('', name)
        for name in [*dict(model.named_parameters()), *get_running_statistics(model)]
    }
    check_finite({name: loaded[name] for name in expected if name in names}, source)
