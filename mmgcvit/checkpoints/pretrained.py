"""Load a checkpoint into a backbone, completely or not at all; check that a checkpoint fits an
mmengine model.
"""

import re
from collections.abc import Collection, Iterable
from math import isqrt

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from ..errors import CheckpointError, format_count, shorten
from .class_rows import ClassMatch, ClassRows, InitialWeights, find_class_rows
from .foreign import check_no_adapters, check_no_foreign, format_tensors
from .lora import add_initial_lora, find_initial_lora, fit_lora
from .reading import raise_checkpoint_error
from .safe_loading import Checkpoint
from .translating import StateDict
from .weights import (
    BIAS_TABLE,
    FINAL_NORM,
    Arch,
    ArchError,
    Network,
    Weights,
    check_finite,
    select_tensors,
)

# Ends of the keys of position tables, which are resized to the model's size: one row for each
# position of a grid.
POSITION_TABLES = (BIAS_TABLE, 'pos_embed')
OUTPUT_NORMS = r'norm\d+\.'  # keys that a checkpoint may lack
# Parts that a checkpoint may have and a backbone not.
OPTIONAL_PARTS = r'(stages\.\d+|downsamplers\.\d+|norm\d+|final_norm|head)\.'
MODEL = "the config's model"
COUNTER = 'num_batches_tracked'
MEAN = 'running_mean'
EMA_STATE = 'ema_state_dict'  # a checkpoint's key for the state of mmengine's EMAHook
EMA_PREFIX = 'module.'  # of the names of the model's tensors in it
EMA_STEPS = 'steps'
WHOLE_NETWORK = 'Use a checkpoint of the whole network'
START_ADVICE = (
    '--start takes all weights of a model of the same network: set --task and --size to those that '
    'it was trained with, or take only its backbone: --pretrained'
)


def load_pretrained(backbone: nn.Module, weights: Weights) -> None:
    """Load weights, which :func:`read_weights` has read, into a backbone, and log one line about
    it.

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
    tensors = dict(weights.tensors)
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
    check_no_foreign(weights.source, list_foreign(tensors, model_tensors), f'the model ({network})')
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


def check_fits(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Check that a checkpoint has the tensors of a model, all of them and no others.

    Before, fit its LoRA matrices to the model (:func:`.add_initial_lora`).
    Without this check mmengine leaves tensors that do not fit at their initial values, and drops
    those for which the model has no place. Raise a CheckpointError for missing, misfitting,
    foreign or infinite tensors, and NaN. Remove prefixes of DistributedDataParallel from the
    checkpoint's keys, and buffers that the model computes itself. The same holds for the weights
    that EMA keeps beside them.
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
    (:func:`check_fits`).
    """
    loaded, expected = prepare_tensors(model, tensors, source, is_resumed)
    foreign = [name for name in loaded if name not in expected]
    check_no_adapters(source, foreign, MODEL)
    check_complete(source, loaded, expected, advice=advise_config(source, loaded))
    check_no_foreign(source, foreign, MODEL)
    # Buffers such as masks may contain infinity, and do so from the start.
    check_finite({name: loaded[name] for name, x in expected.items() if x.isfinite().all()}, source)
    return loaded


def select_initial(
    model: nn.Module,
    checkpoint: Checkpoint,
    classes: ClassMatch | None = None,
    is_start: bool = False,
) -> InitialWeights:
    """Select those tensors of a ``load_from`` checkpoint that fit a model, which may have heads of
    other classes or another kind.

    The backbone must fit completely. Of the other parts (:func:`get_model_part`), one that the
    model does not have, or has with other keys, is not loaded at all; tensors of another shape keep
    their initial values. Rows of classes are matched by name.

    Args:
        model: The model to train.
        checkpoint: The checkpoint. Its state dict is replaced by the selected tensors.
        classes: The names of the classes of both, if they are known.
        is_start: Whether all of the model must be in the checkpoint, and nothing else, as for
            ``--start``.

    Raises:
        CheckpointError: A part has all tensors of the model's and others, or nothing fits; with
            ``is_start`` also if the names of the classes are not known.
    """
    source = checkpoint.source
    if is_start and classes is None:
        raise CheckpointError(
            f'{source} does not have the names of its classes, by which --start keeps them. Pass '
            'the work dir of a run or one of its checkpoints (.pth), or take only the backbone: '
            '--pretrained'
        )
    tensors = checkpoint.content.get('state_dict', {})
    loaded, expected = prepare_tensors(model, tensors, source, checkpoint.is_resumed)
    advice = START_ADVICE if is_start else advise_config(source, loaded)
    foreign = [name for name in loaded if name not in expected]
    check_no_adapters(source, foreign, MODEL)
    # A classifier's backbone has fewer output norms than a detector's, for example.
    further = set(foreign).difference(list_foreign(loaded, expected, 'backbone.'))
    foreign = [name for name in foreign if name not in further]
    backbone = {name: x for name, x in expected.items() if name.startswith('backbone.')}
    check_complete(source, loaded, backbone, advice=advice)
    # Parts of the model, those that lack tensors, and those of the file with tensors of their own.
    owned = {get_model_part(name) for name in expected}
    incomplete = {get_model_part(name) for name in expected if name not in loaded}
    extra = {get_model_part(name) for name in foreign}
    complete = owned - incomplete
    check_no_foreign(source, [x for x in foreign if get_model_part(x) in complete], MODEL)
    other_kind = extra & incomplete
    kept = {}
    misfits = []
    missing = []
    class_rows = find_all_class_rows(model, loaded, expected, classes)
    for name, wanted in expected.items():
        if name not in loaded or get_model_part(name) in other_kind:
            missing.append(name)
            class_rows.pop(name, None)
        elif name in class_rows:
            continue
        elif is_same_kind(name, loaded[name], wanted):
            kept[name] = loaded[name]
        else:
            misfits.append(name)
    if not kept:
        raise CheckpointError(f'no tensor of {source} fits. {advice}')
    others = (extra - complete) | {name.rpartition('.')[0] for name in further}
    different = [*list_parts([*misfits, *missing]), *others]
    if is_start and different:
        raise CheckpointError(
            f'{source} has another model than the one to train. They differ in '
            f'{shorten(sorted(set(different)))}. {START_ADVICE}'
        )
    selected = kept | {name: loaded[name] for name in class_rows}
    check_finite(
        {name: x for name, x in selected.items() if expected[name].isfinite().all()}, source
    )
    checkpoint.content['state_dict'] = kept
    report = format_initial(
        f'--start {source}' if is_start else f'load_from={source}',
        loaded=[name for name in expected if name in selected],
        misfits=misfits,
        missing=missing,
        others=others,
    )
    if classes and (is_start or class_rows):
        report += f'; {classes.describe()}'
    return InitialWeights(report, class_rows)


def find_all_class_rows(
    model: nn.Module, loaded: StateDict, expected: StateDict, classes: ClassMatch | None
) -> dict[str, ClassRows]:
    """Return the tensors of a checkpoint whose rows are matched by class names, by key: none if the
    classes are the same, or not known.

    Args:
        model: The model to train.
        loaded: The tensors of the checkpoint.
        expected: The tensors of the model.
        classes: The names of the classes of both, if they are known.
    """
    if classes is None or classes.is_same:
        return {}
    modules = dict(model.named_modules())
    modules = {strip_module_prefix(name): module for name, module in modules.items()}
    found = {}
    for name, wanted in expected.items():
        if name not in loaded:
            continue
        head = modules.get(name.rpartition('.')[0].rpartition('.')[0], model)
        rows = find_class_rows(name, loaded=loaded[name], wanted=wanted, module=head, match=classes)
        if rows:
            old, new = rows
            found[name] = ClassRows(loaded[name], old, new, classes.pairs)
    return found


def format_initial(
    origin: str,
    *,
    loaded: Collection[str],
    misfits: Collection[str],
    missing: Collection[str],
    others: Collection[str],
) -> str:
    """Return the line that says what of a ``load_from`` checkpoint is loaded, and why not all.

    Args:
        origin: The option or setting that names the checkpoint.
        loaded: The names of the model's tensors that are loaded, some only for some classes.
        misfits: Those that have other shapes in the checkpoint.
        missing: Those that it does not have.
        others: The parts of the checkpoint that the model does not have.
    """
    parts = list_parts(loaded)
    line = (
        f'{origin}: {format_count(len(loaded), "tensor")} of the model loaded '
        f'({", ".join(parts)}), {len(misfits) + len(missing)} keep initial values'
    )
    reasons = {'other shapes in the file, as with other classes': misfits, 'not in it': missing}
    for reason, names in reasons.items():
        if names:
            line += f'; {reason}: {", ".join(list_parts(names))}'
    if others:
        line += f'; parts of the file that the model does not have: {shorten(sorted(others))}'
    if parts == ['backbone']:
        line += '. Only the backbone is loaded'
    return line


def list_parts(names: Iterable[str]) -> list[str]:
    """Return the parts of a model that keys belong to, each once."""
    return list(dict.fromkeys(map(get_model_part, names)))


def get_model_part(name: str) -> str:
    """Return the part of a model that a key belongs to: its last module called a head, or else its
    first module.
    """
    head = re.match(r'(.*head)\.', name)
    return head[1] if head else name.partition('.')[0]


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
