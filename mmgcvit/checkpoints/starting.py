"""Start a training from a checkpoint (``load_from``) whose model may have heads of other classes or
another kind.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from functools import partial

from torch import nn

from ..errors import CheckpointError, format_count, shorten
from .class_rows import ClassMatch, InitialWeights, fill_rows
from .fitting import (
    MODEL,
    advise_config,
    check_complete,
    is_same_kind,
    prepare_tensors,
    read_stripped_grids,
    strip_module_prefix,
)
from .foreign import check_no_adapters, check_no_foreign
from .grids import attach_grids
from .pretrained import list_foreign
from .safe_loading import Checkpoint
from .weights import check_finite

BACKBONE = 'backbone.'  # the prefix of a backbone's keys in a model
START_ADVICE = (
    'A start takes all weights of a model of the same network. Use the network that it was trained '
    'with, or take only its backbone'
)
START_ARGUMENTS = ('task', 'size', 'pretrained')
# What a checkpoint has of a tensor of the model
WHOLE, BY_CLASS = 'whole', 'by class'
MISFIT, MISSING = 'other shapes in the file, as with other classes', 'not in it'


def select_initial(
    model: nn.Module,
    checkpoint: Checkpoint,
    classes: ClassMatch | None = None,
    same_model: bool = False,
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
        same_model: Whether all of the model must be in the checkpoint, and nothing else.

    Raises:
        CheckpointError: A part has all tensors of the model's and others, or nothing fits; with
            ``same_model`` also if the names of the classes are not known.
    """
    source = checkpoint.source
    if same_model and classes is None:
        raise CheckpointError(
            f'{source} does not have the names of its classes, by which a start keeps them. Start '
            'from the work dir of a run or one of its checkpoints (.pth), or take only the backbone',
            arguments=['start', 'pretrained'],
        )
    tensors = checkpoint.content.get('state_dict', {})
    loaded, expected = prepare_tensors(model, tensors, source, checkpoint.is_resumed)
    advice = START_ADVICE if same_model else advise_config(source, loaded)
    unexpected = [name for name in loaded if name not in expected]
    check_no_adapters(source, unexpected, MODEL)
    backbone = {name: x for name, x in expected.items() if name.startswith(BACKBONE)}
    check_complete(source, loaded, backbone, advice=advice)

    # A classifier's backbone has fewer output norms than a detector's, for example.
    foreign = list_foreign(loaded, expected, BACKBONE)
    incomplete = {get_model_part(name) for name in expected if name not in loaded}
    complete = {*map(get_model_part, expected)} - incomplete
    check_no_foreign(source, [x for x in foreign if get_model_part(x) in complete], MODEL)
    other_kind = incomplete.intersection(map(get_model_part, foreign))  # with other keys there
    others = {*map(get_model_part, foreign)} - complete
    others |= {name.rpartition('.')[0] for name in {*unexpected}.difference(foreign)}

    modules = {strip_module_prefix(name): module for name, module in model.named_modules()}
    names: dict[str, list[str]] = defaultdict(list)  # of the model's tensors, by what is there
    by_class = {}
    for name, wanted in expected.items():
        kind = MISFIT
        if name not in loaded or get_model_part(name) in other_kind:
            kind = MISSING
        else:
            head = modules.get(name.rpartition('.')[0].rpartition('.')[0], model)
            fill = None
            if classes is not None and not classes.is_same:
                fill = partial(fill_rows, name, loaded=loaded[name], module=head, match=classes)
            if fill is not None and fill(wanted) is not wanted:
                kind = BY_CLASS
                by_class[name] = fill
            elif is_same_kind(name, loaded[name], wanted):
                kind = WHOLE
        names[kind].append(name)
    if not names[WHOLE]:
        raise CheckpointError(f'no tensor of {source} fits. {advice}')
    different = {*list_parts(names[MISFIT] + names[MISSING]), *others}
    if same_model and different:
        raise CheckpointError(
            f'{source} has another model than the one to train. They differ in '
            f'{shorten(sorted(different))}. {START_ADVICE}',
            arguments=START_ARGUMENTS,
        )
    taken = [name for name in expected if name in {*names[WHOLE], *by_class}]
    # Buffers such as masks may contain infinity, and do so from the start.
    check_finite({x: loaded[x] for x in taken if expected[x].isfinite().all()}, source)
    whole = {name: loaded[name] for name in names[WHOLE]}
    checkpoint.content['state_dict'] = attach_grids(whole, read_stripped_grids(tensors))
    report = format_initial(f'load_from={source}', taken, names, others)
    if classes and (same_model or by_class):
        report += f'; {classes.describe()}'
    return InitialWeights(report, by_class)


def format_initial(
    origin: str, taken: Collection[str], names: Mapping[str, list[str]], others: Collection[str]
) -> str:
    """Return the line that says what of a ``load_from`` checkpoint is loaded, and why not all.

    Args:
        origin: The setting that names the checkpoint.
        taken: The model's tensors that are loaded.
        names: All, by what the checkpoint has of them.
        others: The parts of the checkpoint that the model does not have.
    """
    parts = list_parts(taken)
    num_initial = len(names[MISFIT]) + len(names[MISSING])
    line = (
        f'{origin}: {format_count(len(taken), "tensor")} of the model loaded '
        f'({", ".join(parts)}), {num_initial} keep initial values'
    )
    for reason in (MISFIT, MISSING):
        if names[reason]:
            line += f'; {reason}: {", ".join(list_parts(names[reason]))}'
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
