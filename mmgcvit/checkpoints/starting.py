"""Start a training from a checkpoint (``load_from``) whose model may have heads of other classes or
another kind.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from torch import Tensor, nn

from ..errors import MisfitError, format_count, shorten
from .checks import check_finite, check_fit, check_no_adapters, is_same_kind
from .class_rows import ClassMatch, InitialWeights, fill_rows
from .fitting import MODEL, advise_config, prepare_tensors, strip_module_prefix
from .grids import BACKBONE, get_backbone_settings
from .loading import list_foreign
from .safe_loading import Checkpoint
from .translating import StateDict

BACKBONE_ALONE = "load only its backbone (init_cfg=dict(type='Pretrained', checkpoint=...))"
START_ADVICE = f'Use a config with the same network, or {BACKBONE_ALONE}'


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
        CheckpointError: A part has all tensors of the model's and others.
        MisfitError: The backbone or nothing fits; with ``same_model`` also if the rest of the model
            does not, or if the names of the classes are not known.
    """
    source = checkpoint.source
    if same_model and classes is None:
        raise MisfitError(
            f'{source} does not have the names of its classes, by which their weights are kept. '
            f'Use the checkpoint of a run (.pth), or {BACKBONE_ALONE}'
        )
    tensors = checkpoint.content.get('state_dict', {})
    settings = get_backbone_settings(checkpoint.content.get('meta', {}))
    loaded, expected = prepare_tensors(model, tensors, source, checkpoint.is_resumed, settings)
    advice = START_ADVICE if same_model else advise_config(source, loaded)
    unexpected = [name for name in loaded if name not in expected]
    # A classifier's backbone has fewer output norms than a detector's, for example.
    foreign = list_foreign(loaded, expected, BACKBONE)
    incomplete = {get_model_part(name) for name in expected if name not in loaded}
    complete = {*map(get_model_part, expected)} - incomplete
    backbone = {name: x for name, x in expected.items() if name.startswith(BACKBONE)}
    check_no_adapters(source, unexpected, MODEL)
    check_fit(
        source,
        loaded,
        backbone,
        MODEL,
        advice,
        foreign=[name for name in foreign if get_model_part(name) in complete],
    )
    other_kind = incomplete.intersection(map(get_model_part, foreign))  # with other keys there
    others = {*map(get_model_part, foreign)} - complete
    others |= {name.rpartition('.')[0] for name in {*unexpected}.difference(foreign)}

    known = {
        name: loaded[name]
        for name in expected
        if name in loaded and get_model_part(name) not in other_kind
    }
    by_class = {}
    if classes is not None and not classes.is_same:
        by_class = match_rows(model, known, expected, classes)
    whole = {
        name: tensor
        for name, tensor in known.items()
        if name not in by_class and is_same_kind(name, tensor, expected[name])
    }
    taken = [name for name in known if name in whole or name in by_class]
    misfit = [name for name in known if name not in whole and name not in by_class]
    missing = [name for name in expected if name not in known]
    if not whole:
        raise MisfitError(f'no tensor of {source} fits. {advice}')
    different = {*list_parts(misfit + missing), *others}
    if same_model and different:
        raise MisfitError(
            f'{source} has another model than the one to train. They differ in '
            f'{shorten(sorted(different))}. {START_ADVICE}',
        )
    # Buffers such as masks may contain infinity, and do so from the start.
    check_finite(source, {x: loaded[x] for x in taken if expected[x].isfinite().all()})
    checkpoint.content['state_dict'] = whole
    report = format_initial(source, taken, misfit, missing, others)
    if classes and (same_model or by_class):
        report += f'; {classes.describe()}'
    return InitialWeights(report, by_class)


def match_rows(
    model: nn.Module, known: StateDict, expected: StateDict, classes: ClassMatch
) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return those tensors of a checkpoint of which rows are taken by the names of classes, each as
    the function that fills the model's tensor (:func:`.fill_rows`).

    Args:
        model: The model.
        known: The checkpoint's tensors that the model has.
        expected: The model's state dict.
        classes: The names of the classes of both.
    """
    modules = {strip_module_prefix(name): module for name, module in model.named_modules()}
    by_class: dict[str, Callable[[Tensor], Tensor]] = {}
    for name, tensor in known.items():
        head = modules.get(name.rpartition('.')[0].rpartition('.')[0], model)  # has the layer
        fill = partial(fill_rows, name, loaded=tensor, module=head, match=classes)
        if fill(expected[name]) is not expected[name]:
            by_class[name] = fill
    return by_class


def format_initial(
    source: str,
    taken: Sequence[str],
    misfit: Sequence[str],
    missing: Sequence[str],
    others: Collection[str],
) -> str:
    """Return the line that says what of a ``load_from`` checkpoint is loaded, and why not all.

    Args:
        source: The checkpoint.
        taken: The model's tensors that are loaded.
        misfit: Those that have another shape in the checkpoint.
        missing: Those that it lacks.
        others: The parts of the checkpoint that the model does not have.
    """
    parts = list_parts(taken)
    line = (
        f'load_from={source}: {format_count(len(taken), "tensor")} of the model loaded '
        f'({", ".join(parts)}), {len(misfit) + len(missing)} keep initial values'
    )
    if misfit:
        line += '; other shapes in the file, as with other classes: '
        line += ', '.join(list_parts(misfit))
    if missing:
        line += f'; not in it: {", ".join(list_parts(missing))}'
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
