"""Start a training from a checkpoint (``load_from``, ``--start``) whose model may have heads of
other classes or another kind.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from torch import nn

from ..errors import CheckpointError, format_count, shorten
from .class_rows import ClassMatch, ClassRows, InitialWeights, find_class_rows
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
from .translating import StateDict
from .weights import check_finite

BACKBONE = 'backbone.'  # the prefix of a backbone's keys in a model
START_ADVICE = (
    '--start takes all weights of a model of the same network: set --task and --size to those that '
    'it was trained with, or take only its backbone: --pretrained'
)


@dataclass(frozen=True)
class Parts:
    """The parts of a checkpoint (:func:`get_model_part`), compared with those of a model."""

    foreign: list[str]  # tensors for which a part that the checkpoint has completely has no place
    # Parts of the model that lack tensors in the checkpoint, which has others there
    other_kind: set[str]
    others: set[str]  # parts of the checkpoint that the model does not have, or has with other keys


@dataclass(frozen=True)
class Selection:
    """The tensors of a model, sorted by what a checkpoint has of them."""

    loaded: list[str]  # the names of those that are loaded, some only for some classes
    whole: StateDict  # those that are loaded as they are
    class_rows: dict[str, ClassRows]  # those of which the rows of known classes are loaded
    misfits: list[str]  # the names of those that have other shapes in the checkpoint
    missing: list[str]  # the names of those that the checkpoint does not have


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
    check_no_adapters(source, [name for name in loaded if name not in expected], MODEL)
    backbone = {name: x for name, x in expected.items() if name.startswith(BACKBONE)}
    check_complete(source, loaded, backbone, advice=advice)
    parts = compare_parts(loaded, expected)
    check_no_foreign(source, parts.foreign, MODEL)
    class_rows = find_all_class_rows(model, loaded, expected, classes)
    selection = sort_tensors(loaded, expected, class_rows=class_rows, absent=parts.other_kind)
    if not selection.whole:
        raise CheckpointError(f'no tensor of {source} fits. {advice}')
    different = {*list_parts([*selection.misfits, *selection.missing]), *parts.others}
    if is_start and different:
        raise CheckpointError(
            f'{source} has another model than the one to train. They differ in '
            f'{shorten(sorted(different))}. {START_ADVICE}'
        )
    # Buffers such as masks may contain infinity, and do so from the start.
    is_finite = {name: bool(expected[name].isfinite().all()) for name in selection.loaded}
    check_finite({name: loaded[name] for name in selection.loaded if is_finite[name]}, source)
    checkpoint.content['state_dict'] = attach_grids(selection.whole, read_stripped_grids(tensors))
    origin = f'--start {source}' if is_start else f'load_from={source}'
    report = format_initial(origin, selection, parts.others)
    if classes and (is_start or selection.class_rows):
        report += f'; {classes.describe()}'
    return InitialWeights(report, selection.class_rows)


def compare_parts(loaded: StateDict, expected: StateDict) -> Parts:
    """Compare the parts of a checkpoint's tensors and of a model's."""
    unexpected = [name for name in loaded if name not in expected]
    # A classifier's backbone has fewer output norms than a detector's, for example.
    further = set(unexpected).difference(list_foreign(loaded, expected, BACKBONE))
    unexpected = [name for name in unexpected if name not in further]
    incomplete = {get_model_part(name) for name in expected if name not in loaded}
    complete = {get_model_part(name) for name in expected} - incomplete
    extra = {get_model_part(name) for name in unexpected}
    return Parts(
        foreign=[name for name in unexpected if get_model_part(name) in complete],
        other_kind=extra & incomplete,
        others=(extra - complete) | {name.rpartition('.')[0] for name in further},
    )


def sort_tensors(
    loaded: StateDict,
    expected: StateDict,
    *,
    class_rows: dict[str, ClassRows],
    absent: Collection[str],
) -> Selection:
    """Sort a model's tensors by what a checkpoint has of them.

    Args:
        loaded: The tensors of the checkpoint.
        expected: The tensors of the model.
        class_rows: Those whose rows are matched by class names.
        absent: The parts that are not loaded at all.
    """
    selection = Selection(loaded=[], whole={}, class_rows={}, misfits=[], missing=[])
    for name, wanted in expected.items():
        if name not in loaded or get_model_part(name) in absent:
            selection.missing.append(name)
        elif name in class_rows:
            selection.class_rows[name] = class_rows[name]
            selection.loaded.append(name)
        elif is_same_kind(name, loaded[name], wanted):
            selection.whole[name] = loaded[name]
            selection.loaded.append(name)
        else:
            selection.misfits.append(name)
    return selection


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


def format_initial(origin: str, selection: Selection, others: Collection[str]) -> str:
    """Return the line that says what of a ``load_from`` checkpoint is loaded, and why not all.

    Args:
        origin: The option or setting that names the checkpoint.
        selection: What is loaded, and what is not.
        others: The parts of the checkpoint that the model does not have.
    """
    parts = list_parts(selection.loaded)
    num_initial = len(selection.misfits) + len(selection.missing)
    line = (
        f'{origin}: {format_count(len(selection.loaded), "tensor")} of the model loaded '
        f'({", ".join(parts)}), {num_initial} keep initial values'
    )
    reasons = {
        'other shapes in the file, as with other classes': selection.misfits,
        'not in it': selection.missing,
    }
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
