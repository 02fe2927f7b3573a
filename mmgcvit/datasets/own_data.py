"""Write the config that ``mmgcvit train --data`` trains: a filled in template.

Templates compute all settings from the variables at their head, which have literal values.
"""

import os
from math import ceil
from pathlib import Path
from statistics import median

from ..checkpoints.reading import find_limit
from ..config import CONFIGS, STARTED_WITH, get_name_and_work_dir
from ..errors import UserError
from ..files import create_numbered, make_portable_path, write_text
from .advice import advise
from .decoding import read_sizes
from .plan import Plan, make_plan
from .records import DatasetInfo
from .template import fill_template, format_variable

# The folder in the work dir for the config and annotation files, or made2 and so on if earlier runs
# have theirs in it.
CONFIG_FOLDER = 'made'
# The options in the head that STARTED_WITH keeps.
KEPT_OPTIONS = ('image_size', 'batch_size', 'lr', 'workers', 'augment', 'fine_tune', 'tiles')

# It contains no text of the user: a line break would end a comment.
HEADER = """# Written by mmgcvit train --data. As written, it {}.
# Relative paths start at the folder where the command runs.
# Edit the lines from _base_ on and train it again:
# mmgcvit train THIS_FILE --work-dir ANOTHER_FOLDER"""


def make_config(
    dataset: DatasetInfo,
    work_dir: str | Path | None = None,
    task: str | None = None,
    size: str | None = None,
    **options,
) -> tuple[Path, str]:
    """Write the config that trains on a dataset, and the annotation files it needs, to a work dir.

    If the dataset has no validation split, hold out a part of the training images. No file is
    replaced.

    Args:
        dataset: The dataset as :func:`mmgcvit.datasets.formats.read_folder` returns it.
        work_dir: The run's folder, by default ``work_dirs/NAME``.
        task: The option ``--task``, by default the dataset's first.
        size: The network's size; without it, that for a GPU or a CPU.
        options: Other options of ``mmgcvit train``, None where they are not given. ``epochs`` is by
            default that of :func:`.plan.choose_epochs`. ``tiles`` is their side in pixels, or 0 for
            one that follows from the objects' sizes.

    Returns:
        The path of the config, and a summary of the training.

    Raises:
        UserError: An option does not fit the dataset.
    """
    name, work_dir = get_name_and_work_dir(dataset.folder, work_dir)
    plan = make_plan(dataset, task, size, options)
    check_names_and_paths(plan, work_dir)
    paths = plan.train.image_paths
    # Those of at most a hundred images, as they are stored.
    sizes = [read_sizes(path).stored for path in paths[:: ceil(len(paths) / 100)]]
    notes, weaknesses = advise(plan, sizes)
    dataset = plan.dataset.add_notes(notes)
    started_with = {
        'data': locate_data(dataset.folder, work_dir),
        'task': plan.template.option,
        'size': plan.size,
        'no_flip': not plan.head['flip'],
        **{name: plan.head.get(name) for name in KEPT_OPTIONS},
        'image_side': round(median(map(max, sizes))),
        'pretrained': options.get('pretrained'),
        'weaknesses': weaknesses,
    }
    folder = create_numbered(work_dir / CONFIG_FOLDER)
    path = folder / f'{name}.py'
    write_config(plan, path, work_dir, started_with)
    return path, f'{dataset}\n{plan}, from {format_init_weights(plan.head)}'


def check_names_and_paths(plan: Plan, work_dir: Path) -> None:
    """Raise a UserError for a work dir in the dataset, and for names and paths that a config
    cannot have.
    """
    dataset = plan.dataset
    if work_dir.resolve().is_relative_to(dataset.folder.resolve()):
        raise UserError(
            f'the work dir {work_dir} is inside the dataset. Set another --work-dir or, for '
            'check-data, the variable TMPDIR'
        )
    texts = [*dataset.classes, dataset.folder, work_dir, plan.head['pretrained']]
    texts += [split.image_folder for split in dataset.splits.values()]
    for text in map(str, texts):
        # mmengine would change the text in a config, or it cannot be written into one.
        if '{{' in text or text.encode(errors='replace').decode() != text:
            raise UserError(
                f'{text!r}: names of classes, folders and weights must be valid UTF-8 without two '
                'opening braces'
            )


def locate_data(folder: Path, work_dir: Path) -> str:
    """Return the folder of the data. It is relative to the work dir if both are in the current
    folder, so that all of it can be moved.
    """
    if work_dir.is_absolute() or Path(make_portable_path(folder)).is_absolute():
        return str(folder.resolve())
    return os.path.relpath(folder.resolve(), work_dir.resolve())


def write_config(plan: Plan, path: Path, work_dir: Path, started_with: dict) -> None:
    """Write the config of a plan, and annotation files beside it.

    ``started_with`` is its variable of this name (:data:`mmgcvit.config.STARTED_WITH`).
    """
    head = plan.head | write_annotations(plan.dataset, path.parent)
    lines = [
        HEADER.format(plan),
        format_variable('work_dir', make_portable_path(work_dir)),
        format_variable(STARTED_WITH, started_with),
        fill_template(CONFIGS / plan.template.config, head),
    ]
    write_text(path, '\n'.join(lines))


def write_annotations(dataset: DatasetInfo, folder: Path) -> dict:
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


def format_init_weights(head: dict) -> str:
    """Return a text that names the initial weights and says what limits their use."""
    if head['load_from']:
        return (
            f"mmgcvit's small model {Path(head['load_from']).stem}, for a first look without a "
            'GPU. A larger --size is slow without one'
        )
    weights = head['pretrained']
    if not weights:
        return (
            'random weights: scores will be low without many thousand images. For other weights, '
            'set --pretrained'
        )
    text = f'the weights {weights}'
    limit = find_limit(weights)
    return f'{text}, which are {limit}' if limit else text
