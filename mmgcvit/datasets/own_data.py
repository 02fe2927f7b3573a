"""Write the config that ``mmgcvit train --data`` trains: a filled in template.

Templates compute all settings from the variables at their head, which have literal values.
"""

import os
from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import torch

from ..checkpoints.reading import find_limit
from ..config import STARTED_WITH, get_config_path, get_name_and_work_dir
from ..errors import UserError, check_installed, format_count, format_duration
from ..files import (
    create_numbered,
    expand_user,
    make_absolute,
    make_portable_path,
    write_text,
)
from ..tasks import COSTS, MINI, TEMPLATES, Template
from .advice import (
    choose_image_size,
    choose_tile_side,
    count_fullest,
    find_small_objects,
    find_weaknesses,
    find_wide_images,
)
from .decoding import read_sizes
from .hold_out import split_validation
from .records import DatasetInfo, Size, Split
from .rules.classes import find_missing_classes
from .template import ConfigPath, fill_template, format_variable, read_head

# The weights of GC ViT's authors: timm's copies, whose names have the first digits of their
# SHA-256, and for large, which timm lacks, the authors' own file, which is on a branch that may
# change.
TIMM_RELEASE = (
    'https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights-morevit/'
)
WEIGHTS = {
    'xxtiny': f'{TIMM_RELEASE}gcvit_xxtiny_224_nvidia-d1d86009.pth',
    'xtiny': f'{TIMM_RELEASE}gcvit_xtiny_224_nvidia-274b92b7.pth',
    'tiny': f'{TIMM_RELEASE}gcvit_tiny_224_nvidia-ac783954.pth',
    'small': f'{TIMM_RELEASE}gcvit_small_224_nvidia-4e98afa2.pth',
    'base': f'{TIMM_RELEASE}gcvit_base_224_nvidia-f009139b.pth',
    'large': 'https://huggingface.co/nvidia/GCViT/resolve/main/gcvit_1k_large.pth.tar',
}
# The default length of training: NUM_SEEN images (a template's num_seen for MINI), but at least
# MIN_EPOCHS epochs.
NUM_SEEN = 6000
MIN_EPOCHS = 12
# The variables of templates with the length of a training, and what they count.
LENGTHS = {'max_epochs': 'epoch', 'max_iters': 'iteration'}
# The least and the usual limit of objects in an image, and the margin by which it is over the
# fullest one.
MIN_MAX_OBJECTS = 100
CROWD_MARGIN = 1.5
# The folder in the work dir for the config and annotation files, or made2 and so on if earlier runs
# have theirs in it.
CONFIG_FOLDER = 'made'
# The options in the head that STARTED_WITH keeps.
KEPT_OPTIONS = ('image_size', 'batch_size', 'lr', 'workers', 'augment', 'fine_tune', 'tiles')

Variables = Mapping  # of a config, or options of a command, by their names
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
            default as many as see about :data:`NUM_SEEN` images. ``tiles`` is their side in pixels,
            or 0 for one that follows from the objects' sizes.

    Returns:
        The path of the config, and a summary of the training.

    Raises:
        UserError: An option does not fit the dataset.
    """
    template = choose_template(dataset, task)
    size = size or ('tiny' if torch.cuda.is_available() else MINI)
    if size not in template.networks:
        raise UserError(
            f'--size {size} is not for the task {template.option}. Choose one of '
            f'{", ".join(template.networks)}'
        )
    name, work_dir = get_name_and_work_dir(dataset.folder, work_dir)
    plan = make_plan(split_validation(dataset), template, size, options)
    check_names_and_paths(plan, work_dir)
    paths = plan.train.image_paths
    # Those of at most a hundred images, as they are stored.
    sizes = [stored for stored, _ in map(read_sizes, paths[:: ceil(len(paths) / 100)])]
    notes, remedy = advise(plan, sizes)
    dataset = plan.dataset.add_notes(notes)
    started_with = {
        'data': locate_data(dataset.folder, work_dir),
        'task': task or template.option,
        'size': size,
        'no_flip': not plan.head['flip'],
        **{name: plan.head.get(name) for name in KEPT_OPTIONS},
        'image_side': round(median(map(max, sizes))),
        'pretrained': options.get('pretrained'),
        'weaknesses': find_weaknesses(dataset, remedy),
    }
    folder = create_numbered(work_dir / CONFIG_FOLDER)
    path = folder / f'{name}.py'
    write_config(plan, path, work_dir, started_with)
    return path, f'{dataset}\n{plan}, from {format_init_weights(plan.head)}'


class Plan(NamedTuple):
    """What is trained on which images. Its text is that of configs and summaries."""

    dataset: DatasetInfo  # with a validation split
    template: Template
    size: str  # the option ``--size``
    head: dict  # the variables at the head of the config
    num_seen: int  # images or tiles, in the whole training
    length: str  # of the training, such as '12 epochs'
    fullest: int  # the number of objects in the image, or the tile, that has most of them

    @property
    def train(self) -> Split:
        return self.dataset.splits['train']

    def __str__(self) -> str:
        text = (
            f'trains {self.template.network}, --size {self.size}, at {self.head["image_size"]} px, '
            f'{self.length}'
        )
        side = self.head.get('tiles')
        if side:
            text += f', on {self.head["tiles_per_image"]} tiles of {side} px of each image'
        return text


def make_plan(dataset: DatasetInfo, template: Template, size: str, options: Variables) -> Plan:
    """Return what a training with the options of :func:`make_config` does.

    Raises:
        UserError: An option does not fit the dataset.
    """
    train = dataset.splits['train']
    head = read_head(Path(get_config_path(template.config)))
    tiles = options.get('tiles')
    if tiles is not None and 'tiles' not in head:
        raise UserError('--tiles is for datasets with boxes or masks of objects. Use --image-size')
    head |= choose_settings(template, size, options)
    if tiles is not None:
        check_installed('--tiles', 'supervision')
        head |= choose_tiles(head['image_size'], tiles, train)
    fullest = 0
    if 'max_objects' in head:
        fullest = max(count_fullest(each, head.get('tiles')) for each in dataset.splits.values())
        head['max_objects'] = max(MIN_MAX_OBJECTS, ceil(CROWD_MARGIN * fullest / 100) * 100)
    num_images = len(train.image_names) * head.get('tiles_per_image', 1)
    epochs = options.get('epochs') or choose_epochs(template, size, num_images)
    variable, number = choose_length(head, epochs, num_images)
    head[variable] = number
    length = format_count(number, LENGTHS[variable])
    return Plan(dataset, template, size, head, epochs * num_images, length, fullest)


def choose_template(dataset: DatasetInfo, task: str | None) -> Template:
    """Return the template of a task, by default of the dataset's first."""
    templates = [TEMPLATES[annotation_type] for annotation_type in dataset.annotation_types]
    for template in templates:
        if task in (None, template.option):
            return template
    tasks = ' or '.join(template.option for template in templates)
    raise UserError(
        f'{dataset.folder} ({dataset.format}) has no annotations for --task {task}. Use --task '
        f'{tasks}'
    )


def choose_settings(template: Template, size: str, options: Variables) -> dict:
    """Return the variables of a template for a size and the options of ``mmgcvit train``.

    The options come last, so they replace the defaults of the template and of the size. Those that
    are no variables of the template, such as epochs, are ignored when it is filled in.
    """
    settings = {
        '_base_': ConfigPath(template.networks[size]),
        'pretrained': WEIGHTS.get(size),
        **template.head,
    }
    if size == MINI:
        settings['load_from'] = ConfigPath(f'demo/weights/{template.mini_weights}')
        settings |= template.mini_head
    given = {name: value for name, value in options.items() if value is not None}
    if given.pop('no_flip', False):
        settings['flip'] = False
    if 'lr' in given:
        settings['lr_batch_size'] = None  # do not scale the learning rate that the user has set
    if 'pretrained' in given:
        given |= {'pretrained': resolve_weights(given['pretrained']), 'load_from': None}
    return settings | given


def resolve_weights(pretrained: str) -> str | None:
    """Return the weights that ``--pretrained`` names: a URL, an absolute path, or None for none.

    Raise a UserError if there is no such file.
    """
    if pretrained == 'none':
        return None
    if '://' in pretrained:
        return pretrained
    path = make_absolute(expand_user(pretrained))
    if not path.is_file():
        raise UserError(
            f'--pretrained {pretrained}: there is no such file. Expected a file, URL, timm://NAME, '
            'or none'
        )
    return str(path)


def choose_tiles(image_size: int, side: int, train: Split) -> dict[str, int]:
    """Return the side of tiles (0: that for the objects), and their number in an image."""
    side = side or choose_tile_side(train, image_size)
    numbers = [max(1, width * height / side**2) for width, height in train.sizes]
    return {'tiles': side, 'tiles_per_image': round(mean(numbers))}


def choose_epochs(template: Template, size: str, num_images: int) -> int:
    """Return the default length of a training, with a number of images or tiles an epoch."""
    num_seen = template.num_seen if size == MINI else NUM_SEEN
    return max(MIN_EPOCHS, ceil(num_seen / num_images))


def choose_length(head: Variables, epochs: int, num_images: int) -> tuple[str, int]:
    """Return the variable (:data:`LENGTHS`) for the length of a training, and its value."""
    if 'max_epochs' in head:
        return 'max_epochs', epochs
    return 'max_iters', epochs * ceil(num_images / head['batch_size'])


def check_names_and_paths(plan: Plan, work_dir: Path) -> None:
    """Raise a UserError for a work dir in the dataset, and for names and paths that a config
    cannot have.
    """
    dataset = plan.dataset
    if work_dir.resolve().is_relative_to(dataset.folder.resolve()):
        raise UserError(
            f'the work dir {work_dir} is inside the dataset. Set another --work-dir (check-data: '
            'TMPDIR)'
        )
    texts = [*dataset.classes, dataset.folder, work_dir, plan.head['pretrained']]
    texts += [split.image_folder for split in dataset.splits.values()]
    for text in map(str, texts):
        # mmengine would change the text in a config, or it cannot be written into one.
        if '{{' in text or text.encode(errors='replace').decode() != text:
            raise UserError(
                f'{text!r}: names of classes and folders must be valid UTF-8 without two opening '
                'braces'
            )


def advise(plan: Plan, sizes: Sequence[Size]) -> tuple[list[str], str]:
    """Return notes on what a training will not do well, and options that would help, or ''.

    ``sizes`` are those of images.
    """
    head = plan.head
    image_size = head['image_size']
    option = plan.template.option
    notes = find_missing_classes(plan.dataset)
    remedy = ''
    small_objects = find_small_objects(plan.train, image_size, head.get('tiles'))
    if small_objects:
        remedy, advice = advise_tiles(plan)
        notes.append(f'{small_objects}. {advice}')
    if head.get('max_objects', 0) > MIN_MAX_OBJECTS:
        notes.append(describe_crowds(head, plan.fullest))
    if plan.size != MINI and not torch.cuda.is_available():
        notes.append(
            f'--size {plan.size} trains {estimate_time(plan, plan.num_seen, image_size)} on a CPU '
            '(estimate). --size mini takes minutes'
        )
    if option == 'classify':
        notes += find_wide_images(sizes)
    if option == 'semantic' and median(map(min, sizes)) >= 2 * image_size:
        remedy = f'--image-size {2 * image_size}'
    return notes, remedy


def advise_tiles(plan: Plan) -> tuple[str, str]:
    """Return options with which few objects are small, and advice that names them.

    The advice says how long a CPU takes.
    """
    train = plan.train
    image_size = plan.head['image_size']
    tiled = choose_tiles(image_size, 0, train)
    options = '--tiles'
    if find_small_objects(train, image_size, tiled['tiles']):
        image_size = choose_image_size(train)
        options += f' --image-size {image_size}'
    advice = f'Train on tiles of {tiled["tiles"]} px: {options}'
    if not torch.cuda.is_available():
        num_tiles = len(train.image_names) * tiled['tiles_per_image']
        num_seen = num_tiles * choose_epochs(plan.template, plan.size, num_tiles)
        advice += f' ({estimate_time(plan, num_seen, image_size)} on this CPU, estimate)'
    return options, advice


def estimate_time(plan: Plan, num_samples: int, image_size: int) -> str:
    """Return about how long a CPU trains on a number of images or tiles, as text."""
    megapixels = num_samples * image_size**2 / 1e6
    cost = plan.template.cpu_seconds * COSTS[plan.size]
    return f'about {format_duration(megapixels * cost / torch.get_num_threads())}'


def describe_crowds(head: Variables, fullest: int) -> str:
    """Return a note on the limit of objects in an image, and on the memory of their masks."""
    place = 'tile' if head['tiles'] else 'image'
    text = (
        f'the fullest {place} has {fullest} objects, so up to {head["max_objects"]} are found in '
        f'one (max_objects)'
    )
    if head['masks']:
        megabytes = head['max_objects'] * 2 * head['image_size'] ** 2 / 1e6
        text += f'; their masks take up to {megabytes:.0f} MB an image'
    return text


def locate_data(folder: Path, work_dir: Path) -> str:
    """Return the folder of the data, relative to the work dir if both move with the current one."""
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
        fill_template(Path(get_config_path(plan.template.config)), head),
    ]
    write_text(path, '\n'.join(lines))


def write_annotations(dataset: DatasetInfo, folder: Path) -> dict:
    """Write an annotation file for each split, so that a run does not see changes of the data.

    Return the variables of the template that name classes and files.
    """
    variables = {'classes': dataset.classes, 'data_root': ''}
    for name, split in dataset.splits.items():
        if name != 'test' or any(split.list_classes()):
            variables |= split.write(folder, name)
    return variables


def format_init_weights(head: Variables) -> str:
    """Return a text that names the initial weights and says what limits their use."""
    if head['load_from']:
        return (
            f"mmgcvit's small model {Path(head['load_from']).stem}, for a first look without a "
            'GPU. A larger --size needs a GPU'
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
