"""Write the config that ``mmgcvit train --data`` trains: a filled in template.

Templates compute all settings from the variables at their head, which have literal values.
"""

from collections.abc import Sequence
from math import ceil
from pathlib import Path, PurePath
from statistics import median
from typing import Any

from ...checkpoints.licences import LIMIT
from ...datasets.opening import read_sizes
from ...errors import UserError
from ...host.config import CONFIGS
from ...host.files import make_portable_path, write_text
from ...runs.folder import RunFolder
from ..data.formats import read_folders
from ..data.records import DatasetInfo
from ..runs.made import (
    NUM_UNCORRECTED,
    START,
    STARTED_WITH,
    choose_run_name,
    choose_work_dir,
    create_made,
)
from ..runs.started_data import StartedFolder, describe_folder, describe_united, format_started
from .advice import advise
from .head import Head
from .object_sizes import measure_long_side
from .options import DATA_OPTIONS, OPTIONS, Options, OptionValue, make_options
from .plan import Plan, make_plan
from .template import fill_template, format_variable

# It contains no text of the user: a line break would end a comment.
HEADER = """# Written by mmgcvit train --data. As written, it {}.
# Relative paths start at the folder where the command runs.
# Edit the lines from _base_ on and train it again:
# mmgcvit train THIS_FILE --work-dir ANOTHER_FOLDER"""


def make_config(
    dataset: DatasetInfo | None = None,
    work_dir: str | Path | None = None,
    task: str | None = None,
    size: str | None = None,
    *,
    data: Sequence[str | Path] = (),
    **options: OptionValue,
) -> tuple[Path, str]:
    """Write the config that trains on a dataset, and the annotation files it needs, to a work dir.

    If the dataset has no validation split, hold out a part of the training images. No file is
    replaced.

    Args:
        dataset: The dataset as :func:`mmgcvit.own.data.formats.read_folders` returns it.
        work_dir: The run's folder, by default ``work_dirs/NAME``.
        task: The option ``--task``, by default the dataset's first.
        size: The network's size; without it, that for a GPU or a CPU.
        data: Instead of ``dataset``, the folders to read.
        options: Other options of ``mmgcvit train`` (:class:`.Options`), None where they are not
            given. ``epochs`` is by default that of :meth:`.Template.choose_epochs`. ``tiles`` is
            their side in pixels, or 0 for one that follows from the objects' sizes.

    Returns:
        The path of the config, and a summary of the training.

    Raises:
        UserError: There is no such option, its value is not allowed, or it does not fit the
            dataset. The folders cannot be read.
    """
    given = make_options(task=task, size=size, **options)
    if dataset is None:
        dataset = read_data(data, given)
    elif data:
        raise UserError('make_config: expected either a dataset or data=[FOLDER, ...], not both')
    run = RunFolder(choose_work_dir(dataset.folders, work_dir))
    plan = make_plan(dataset, given)
    check_names_and_paths(plan, run.path)
    paths = plan.train.image_paths
    # Those of at most a hundred images, as they are stored.
    sizes = [read_sizes(path).stored for path in paths[:: ceil(len(paths) / 100)]]
    advice = advise(plan, sizes)
    started_with = {
        **format_started(describe_folders(plan, run.path)),
        **describe_options(plan, given),
        'image_side': round(median(map(max, sizes))),
        'object_side': measure_long_side(plan.train),
        'weaknesses': advice.weaknesses,
        NUM_UNCORRECTED: plan.train.num_uncorrected,
        LIMIT: plan.limit,
    }
    path = create_made(run) / f'{choose_run_name(dataset.folders)}.py'
    write_config(plan, path, run.path, started_with)
    noted = plan.dataset.add_notes(advice.notes)
    weights = (
        f'all weights of {plan.head.load_from}' if given.start else format_init_weights(plan.head)
    )
    if plan.limit:
        weights += f', which are {plan.limit}'
    return path, f'{noted}\n{plan}, from {weights}'


def read_data(data: Sequence[str | Path], given: Options) -> DatasetInfo:
    """Read the folders of a training with these options.

    Raise a UserError if there are none, and for those of :func:`.read_folders`.
    """
    folders = [data] if isinstance(data, str | Path) else [*data]
    if not folders:
        raise UserError('make_config: expected a dataset or data=[FOLDER, ...]. Pass one of them')
    return read_folders(
        folders,
        given.task,
        pseudo_labels=bool(given.pseudo_labels),
        similar_classes=given.similar_classes,
    )


def describe_folders(plan: Plan, work_dir: Path) -> list[StartedFolder]:
    """Return what the config of a plan notes about the folders of its data."""
    dataset = plan.dataset
    if not dataset.united:
        first_image = plan.train.image_names[0]
        return [describe_folder(dataset.folder, work_dir, plan.train.image_folder, first_image)]
    names = [name for split in dataset.splits.values() for name in split.image_names]
    started = []
    for folder in dataset.folders:
        inside = folder.resolve().relative_to(dataset.folder)
        own = (name for name in names if PurePath(name).is_relative_to(inside))
        started.append(describe_united(folder, work_dir, dataset.folder, next(own, None)))
    return started


def describe_options(plan: Plan, given: Options) -> dict[str, OptionValue]:
    """Return the options of a training, also those by default, with which a resumed run compares
    its own.
    """
    variables = plan.head.variables
    in_head = {name: variables[name] for name in OPTIONS if name in variables}
    return {
        **in_head,
        'task': plan.template.option,
        'size': plan.size,
        'no_flip': not plan.head.flip,
        # As the user has named them. The head has an absolute path.
        'pretrained': given.pretrained,
        START: given.start,
        **{name: getattr(given, name) for name in DATA_OPTIONS},
    }


def check_names_and_paths(plan: Plan, work_dir: Path) -> None:
    """Raise a UserError for a work dir in the dataset, and for names and paths that a config
    cannot have.
    """
    dataset = plan.dataset
    if any(work_dir.resolve().is_relative_to(folder.resolve()) for folder in dataset.folders):
        raise UserError(
            f'the work dir {work_dir} is inside the dataset. Set another --work-dir or, for '
            'check-data, the variable TMPDIR'
        )
    texts = [*dataset.classes, *dataset.folders, work_dir]
    texts += [plan.head.pretrained, plan.head.load_from]
    texts += [split.image_folder for split in dataset.splits.values()]
    for text in map(str, texts):
        # mmengine would change the text in a config, or it cannot be written into one.
        if '{{' in text or text.encode(errors='replace').decode() != text:
            raise UserError(
                f'{text!r}: names of classes, folders and weights must be valid UTF-8 without two '
                'opening braces'
            )


def write_config(plan: Plan, path: Path, work_dir: Path, started_with: dict[str, Any]) -> None:
    """Write the config of a plan, and annotation files beside it.

    ``started_with`` is its variable of this name (:data:`mmgcvit.own.runs.made.STARTED_WITH`).
    """
    head = {**plan.head.variables, **write_annotations(plan.dataset, path.parent)}
    lines = [
        HEADER.format(plan),
        format_variable('work_dir', make_portable_path(work_dir)),
        format_variable(STARTED_WITH, started_with),
        # The summary of the start says whether images should be mirrored.
        format_variable('data_checks', {'mirroring': 0}),
        fill_template(CONFIGS / plan.template.config, head),
    ]
    write_text(path, '\n'.join(lines))


def write_annotations(dataset: DatasetInfo, folder: Path) -> dict[str, Any]:
    """Write an annotation file for each split, so that later changes of the dataset's annotations
    do not change a run.

    A test split without labels gets none. Images, and maps that need no conversion, are not copied.
    Return the variables of the template that name classes and files.
    """
    variables = {'classes': dataset.classes, 'data_root': ''}
    for name, split in dataset.splits.items():
        if name != 'test' or any(split.list_classes()):
            variables |= split.write(folder, name)
    return variables


def format_init_weights(head: Head) -> str:
    """Return a text that names the initial weights."""
    if head.load_from:
        return (
            f"mmgcvit's small model {Path(head.load_from).stem}, for a first look without a "
            'GPU. A larger --size is slow without one'
        )
    weights = head.pretrained
    if not weights:
        return (
            'random weights: scores will be low without many thousand images. For other weights, '
            'set --pretrained'
        )
    return f'the weights {weights}'
