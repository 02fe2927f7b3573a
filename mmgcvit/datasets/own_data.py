"""Write the config that ``mmgcvit train --data`` trains: the template of a dataset's task, filled
in.

Templates compute all settings from the variables at their head, which have literal values.
"""

import ast
import os
from collections.abc import Iterable, Mapping
from itertools import takewhile
from math import ceil
from pathlib import Path
from pprint import pformat
from statistics import mean, median, mode
from typing import Any

import torch
from mmengine.config import Config

from ..checkpoints.reading import find_limit
from ..config import get_config_path, get_name_and_work_dir, iter_unwrapped_datasets
from ..errors import UserError, check_installed, format_count, format_duration
from ..files import create_numbered, make_absolute, make_portable_path, read_text, write_text
from ..tasks import COSTS, MINI, TEMPLATES, Template
from .decoding import read_sizes
from .formats import DatasetInfo, split_validation, write_annotations
from .formats.advice import find_missing_classes, find_small_objects, find_weaknesses
from .formats.dataset_info import Split, read_each

# The weights of GC ViT's authors: timm's copies, whose names have the first digits of their
# SHA-256, and for large, which timm lacks, the authors' own file, which is on a branch that may
# change.
TIMM_RELEASE = (
    'https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights-morevit'
)
DIGITS = {
    'xxtiny': 'd1d86009',
    'xtiny': '274b92b7',
    'tiny': 'ac783954',
    'small': '4e98afa2',
    'base': 'f009139b',
}
WEIGHTS = {
    size: f'{TIMM_RELEASE}/gcvit_{size}_224_nvidia-{digits}.pth' for size, digits in DIGITS.items()
}
WEIGHTS['large'] = 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_large.pth.tar'
# The default length of training: NUM_SEEN images (a template's num_seen for MINI), but at least
# MIN_EPOCHS epochs.
NUM_SEEN, MIN_EPOCHS = 6000, 12
# The folder in the work dir for the config and annotation files, or made2 and so on if earlier runs
# have theirs in it.
CONFIG_FOLDER = 'made'
# A variable of the written config: the folder of the data, and the options of the run, also those
# by default.
STARTED_WITH = 'started_with'

# It contains no text of the user: a line break would end a comment.
HEADER = """# Written by mmgcvit train --data. As written, it {}.
# Relative paths start at the folder where the command runs.
# Edit the lines from _base_ on and train it again: mmgcvit train THIS_FILE --work-dir ANOTHER_FOLDER
"""
# The variables that all templates have at their head; fine_tune is the last one.
NEEDED = (
    'classes',
    'data_root',
    'train_images',
    'val_images',
    'load_from',
    'image_size',
    'batch_size',
    'flip',
)
NEEDED += ('fine_tune',)


class ConfigPath(str):
    """A path relative to ``configs/``.

    Its ``repr`` is code that finds it, wherever the project is installed.
    """

    def __repr__(self) -> str:
        return f"__import__('mmgcvit').get_config_path({str(self)!r})"


def make_config(
    dataset: DatasetInfo,
    work_dir: str | Path | None = None,
    task: str | None = None,
    size: str | None = None,
    epochs: int | None = None,
    tiles: int | None = None,
    **options: Any,
) -> tuple[Path, str]:
    """Write the config that trains on a dataset, and the annotation files it needs, to a work dir.

    If the dataset has no validation split, hold out a part of the training images. No file is
    replaced. The arguments are the options of ``mmgcvit train``. Return the path of the config, and
    a summary of the training.
    """
    # Decide, and reject what does not fit.
    template = choose_template(dataset, task)
    size = size or ('tiny' if torch.cuda.is_available() else MINI)
    if size not in template.networks:
        sizes = ', '.join(template.networks)
        raise UserError(
            f'--size {size} is not for the task {template.option}. Choose one of {sizes}'
        )
    name, work_dir = get_name_and_work_dir(dataset.folder, work_dir)
    check_options(dataset, work_dir, options.get('pretrained'), tiles)
    split_validation(dataset)
    train = dataset.splits['train']
    template_path = Path(get_config_path(template.config))
    settings = choose_settings(template, size, options)
    head = read_head(template_path, settings) | settings
    if tiles is not None:
        head['tiles'] = tiles or head['image_size']
        head['tiles_per_image'] = round(
            mean(max(1, w * h / head['tiles'] ** 2) for w, h in train.sizes)
        )
    num_images = len(train.image_names) * head.get('tiles_per_image', 1)
    epochs = epochs or max(
        MIN_EPOCHS, ceil((template.num_seen if size == MINI else NUM_SEEN) / num_images)
    )
    iterations = epochs * ceil(num_images / head['batch_size'])
    head |= {'max_iters': iterations} if 'max_iters' in head else {'max_epochs': epochs}

    # Tell: notes for the user, and what is stored for resuming, for predictions and for the
    # verdict.
    small_objects = find_small_objects(dataset, head['image_size'], head.get('tiles'))
    dataset.notes += small_objects + find_missing_classes(dataset)
    if size != MINI and not torch.cuda.is_available():
        seconds = (
            epochs * num_images * head['image_size'] ** 2 / 1e6 * template.cpu_seconds * COSTS[size]
        )
        duration = format_duration(seconds / torch.get_num_threads())
        dataset.notes.append(
            f'--size {size} trains about {duration} on a CPU (estimate). --size mini takes minutes'
        )
    # If both folders move with the current one, the path in the config moves too.
    is_fixed = any(
        Path(make_portable_path(path)).is_absolute() for path in (dataset.folder, work_dir)
    )
    data = dataset.folder.resolve()
    labels = (
        []
        if template.option != 'classify'
        else [label for _, label in dataset.splits['val'].content]
    )
    started_with = {
        'data': str(data) if is_fixed else os.path.relpath(data, work_dir.resolve()),
        'task': task or template.option,
        'size': size,
        'no_flip': not head['flip'],
        **{name: head.get(name) for name in ('image_size', 'batch_size', 'lr', 'workers')},
        **{name: head.get(name) for name in ('augment', 'fine_tune', 'tiles')},
        'image_side': None if template.option == 'classify' else measure_images(train),
        'pretrained': options.get('pretrained') and str(options['pretrained']),
        'majority': labels.count(mode(labels)) / len(labels) if labels else None,
        'weaknesses': find_weaknesses(dataset, bool(small_objects)),
    }
    training = f'trains {template.network}, --size {size}, at {head["image_size"]} px, {format_length(head)}'
    training += f', on tiles of {head["tiles"]} px' if head.get('tiles') else ''

    # Write.
    folder = create_numbered(work_dir / CONFIG_FOLDER)
    write_annotations(dataset, folder)
    path = folder / f'{name}.py'
    about_run = {'work_dir': make_portable_path(work_dir), STARTED_WITH: started_with}
    filled = fill_template(template_path, head | locate_files(dataset))
    write_text(path, HEADER.format(training) + format_assignments(about_run) + filled)
    return path, f'{dataset}\n{training}, from {format_init_weights(head)}\nconfig: {path}'


def choose_template(dataset: DatasetInfo, task: str | None) -> Template:
    """Return the template of a task, by default of the dataset's first."""
    templates = [TEMPLATES[annotation_type] for annotation_type in dataset.annotation_types]
    # Maps that could be of instances are already masks.
    options = ('segment', 'semantic') if task == 'segment' else (task,)
    for template in templates:
        if task is None or template.option in options:
            return template
    tasks = ' or '.join(dict.fromkeys(template.option for template in templates))
    raise UserError(
        f'{dataset.folder} ({dataset.format}) has no annotations for --task {task}. Use --task '
        f'{tasks}'
    )


def check_options(
    dataset: DatasetInfo, work_dir: Path, pretrained: str | Path | None, tiles: int | None
) -> None:
    """Raise a UserError for an option that does not fit the dataset, and for texts that a config
    cannot have.
    """
    weights = None if pretrained is None else resolve_weights(pretrained)
    if weights and '://' not in weights and not Path(weights).is_file():
        raise UserError(
            f'--pretrained {pretrained}: there is no such file. Expected a file, URL, timm://NAME, '
            'or none'
        )
    if make_absolute(work_dir).resolve().is_relative_to(make_absolute(dataset.folder).resolve()):
        raise UserError(
            f'the work dir {work_dir} is inside the dataset. Set another --work-dir (check-data: '
            'TMPDIR)'
        )
    if tiles is not None:
        if not dataset.has_objects:
            raise UserError(
                '--tiles is for datasets with boxes or masks of objects. Remove --tiles'
            )
        check_installed('--tiles', 'supervision')
    folders = (dataset.folder, work_dir, *(split.image_folder for split in dataset.splits.values()))
    for text in map(str, (*dataset.classes, *folders, weights or '')):
        # mmengine would change the text in a config, or it cannot be written into one.
        if '{{' in text or text.encode(errors='replace').decode() != text:
            raise UserError(
                f'{text!r}: names of classes and folders must be valid UTF-8 without two opening '
                'braces'
            )


def resolve_weights(pretrained: str | Path) -> str | None:
    """Return the weights that ``--pretrained`` names: a URL, an absolute path, or None for none."""
    weights = str(pretrained)
    if '://' in weights or weights == 'none':
        return None if weights == 'none' else weights
    return str(make_absolute(Path(weights).expanduser()))


def choose_settings(template: Template, size: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the variables of a template for a size and the options of ``mmgcvit train``."""
    settings = {
        '_base_': ConfigPath(template.networks[size]),
        'pretrained': WEIGHTS.get(size),
        **template.head,
    }
    if size == MINI:
        settings |= {
            'load_from': ConfigPath(f'demo/weights/{template.mini_weights}'),
            **template.mini_head,
        }
    given = {name: value for name, value in options.items() if value is not None}
    if given.pop('no_flip', False):
        settings['flip'] = False
    if 'lr' in given:
        settings['lr_batch_size'] = None  # do not scale the learning rate that the user has set
    if 'pretrained' in given:
        given |= {'pretrained': resolve_weights(given['pretrained']), 'load_from': None}
    return settings | given


def read_head(path: Path, names: Iterable[str] = ()) -> dict[str, Any]:
    """Return the variables at the head of a template, which must have these names."""
    return {
        name: ast.literal_eval(assignment.value)
        for name, assignment in parse_head(path, names).items()
    }


def fill_template(path: Path, head: Mapping[str, Any]) -> str:
    """Return a template without its docstring, with other values of variables at its head, as
    ``repr`` writes them.
    """
    text, assignments = read_text(path), parse_head(path, head)
    rows = text.splitlines()
    for name, old in reversed(assignments.items()):  # from the last one, so that line numbers stay
        if name in head and repr(head[name]) != repr(ast.literal_eval(old.value)):
            rows[old.lineno - 1 : old.end_lineno] = [
                format_assignments({name: head[name]}).rstrip()
            ]
    return '\n'.join([*rows[ast.parse(text).body[0].end_lineno :], ''])


def parse_head(path: Path, names: Iterable[str]) -> dict[str, ast.Assign]:
    """Return the assignments of literals at a template's head.

    Raise a UserError if one of these names is missing.
    """
    try:
        _, *statements = ast.parse(read_text(path)).body
        found = takewhile(lambda statement: isinstance(statement, ast.Assign), statements)
        head = {assignment.targets[0].id: assignment for assignment in found}
        for assignment in head.values():
            ast.literal_eval(assignment.value)  # raises an error for other code
    except (SyntaxError, ValueError, TypeError, AttributeError):
        head = {}
    if not head.keys() >= {*names, *NEEDED}:
        problem = (
            'so that it cannot be filled in: its first lines must be a docstring and NAME = LITERAL'
        )
        raise UserError(
            f'{path} was edited, {problem}. Restore it, and train a copy: mmgcvit train COPY'
        )
    return head


def format_assignments(values: Mapping[str, Any]) -> str:
    """Return assignments of values to variables as Python code."""
    return ''.join(
        f'{name} = {pformat(value, width=100, sort_dicts=False)}\n'
        for name, value in values.items()
    )


def locate_files(dataset: DatasetInfo) -> dict[str, Any]:
    """Return the variables with a dataset's classes and files."""
    settings, files = (
        {'classes': dataset.classes, 'data_root': ''},
        'annotations' if dataset.has_objects else 'list',
    )
    for name, split in dataset.splits.items():
        if name == 'test' and dataset.has_objects and not split.objects:
            continue  # it cannot be scored
        images = make_portable_path(split.image_folder)
        settings |= {
            f'{name}_images': images,
            f'{name}_{files}': make_portable_path(split.ann_file),
        }
        if dataset.annotation_types == ('seg_maps',):
            settings[f'{name}_labels'] = images
    return settings


def measure_images(split: Split) -> int | None:
    """Return the median longer side of about a hundred images of a split, or None if none can be
    read.
    """
    step = ceil(len(split.image_names) / 100)
    sizes = split.sizes[::step]
    if None in sizes:  # they are not annotated
        pairs, _ = read_each(
            read_sizes, [split.image_folder / name for name in split.image_names[::step]]
        )
        sizes = [upright for _, upright in pairs]
    return round(median(map(max, sizes))) if sizes else None


def format_length(settings: Mapping[str, Any]) -> str:
    """Return the length of a training as text, from settings that have ``max_iters`` or
    ``max_epochs``.
    """
    if 'max_iters' in settings:
        return format_count(settings['max_iters'], 'iteration')
    return format_count(settings['max_epochs'], 'epoch')


def format_init_weights(head: Mapping[str, Any]) -> str:
    """Return a text that names the initial weights of a filled-in template and says what limits
    their use.
    """
    if head['load_from']:
        name = Path(head['load_from']).stem
        return f"mmgcvit's small model {name}, for a first look without a GPU. A larger --size needs a GPU"
    weights = head['pretrained']
    if not weights:
        return 'random weights: scores will be low without many thousand images. For other weights, set --pretrained'
    branch = ' (a branch that may change)' if '/resolve/main/' in weights else ''
    limit = find_limit(weights)
    return f'the weights {weights}{branch}{f", which are {limit}" if limit else ""}'


def find_newer_files(data: Path, config: Path) -> list[str]:
    """Return the files of a dataset that are newer than the copies of its annotations in a run's
    work dir.
    """
    copy = Path(
        next(iter_unwrapped_datasets(Config.fromfile(config).train_dataloader.dataset)).ann_file
    )
    if not copy.is_file() or not copy.resolve().is_relative_to(config.parent.resolve()):
        return []  # the checks of the data reject a missing file, and earlier versions made no copy
    files = (
        path
        for path in data.rglob('*')
        if path.is_file() and path.stat().st_mtime > copy.stat().st_mtime
    )
    return sorted(str(path.relative_to(data)) for path in files)


def extend_run(config: Path, epochs: int) -> tuple[Path, str]:
    """Write a run's config with another number of epochs in total.

    Return its path, and the length as text.
    """
    cfg = Config.fromfile(config)
    name, length, num_parts = 'max_epochs', epochs, 12
    if 'max_iters' in cfg.train_cfg:
        lines = read_text(
            Path(next(iter_unwrapped_datasets(cfg.train_dataloader.dataset)).ann_file)
        ).splitlines()
        name, length, num_parts = (
            'max_iters',
            epochs * ceil(len(lines) / cfg.train_dataloader.batch_size),
            10,
        )
        cfg.default_hooks.logger.interval = max(1, min(50, length // 10))
    text = format_length({name: length})
    if cfg.train_cfg[name] == length:
        return config, text
    # The templates compute these settings from their first lines.
    interval = max(1, length // num_parts)
    cfg.train_cfg.update({name: length, 'val_interval': interval})
    cfg.default_hooks.checkpoint.interval = interval
    warm_up, decay = cfg.param_scheduler
    warm_up.end, decay.end = max(2, length // 20) if name == 'max_iters' else min(2, length), length
    if 'milestones' in decay:
        decay.milestones = sorted({max(1, length * 2 // 3), max(1, length * 11 // 12)})
    path = create_numbered(config.parent / CONFIG_FOLDER) / config.name
    write_text(path, cfg.pretty_text)
    return path, text
