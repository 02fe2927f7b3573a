"""Decide what a training on a dataset does: its template, settings, tiles and length."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch

from ...datasets.mirroring import explain_mirroring
from ...errors import UserError, format_count
from ...host.config import CONFIGS
from ...host.files import expand_user, make_absolute
from ...ops.requirements import check_installed
from ..data.records import DatasetInfo, Split
from .head import Head
from .hold_out import split_validation
from .object_sizes import choose_tiles, count_fullest
from .options import Options
from .start import Start, find_limit_of_pretrained, find_start
from .template import ConfigPath
from .templates import MINI, TEMPLATES, Template

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
# The variables of templates with the length of a training, and what they count.
LENGTHS = {'max_epochs': 'epoch', 'max_iters': 'iteration'}
# The limit of objects that are found in an image, max_objects, is CROWD_MARGIN times the number of
# objects in the fullest image, rounded up to hundreds, and at least MIN_MAX_OBJECTS.
MIN_MAX_OBJECTS = 100
CROWD_MARGIN = 1.5


@dataclass(frozen=True)
class Plan:
    """What is trained on which images. ``str(plan)`` is a line of the config and the summary."""

    dataset: DatasetInfo  # with a validation split
    template: Template
    size: str  # the option ``--size``
    head: Head
    num_seen: int  # images or tiles, in the whole training
    length: 'Length'  # of the training
    fullest: int  # the number of objects in the image, or the tile, that has most of them
    limit: str | None  # what limits the use of the weights from which it starts
    has_gpu: bool  # whether torch finds a GPU

    @property
    def train(self) -> Split:
        return self.dataset.splits['train']

    def __str__(self) -> str:
        text = (
            f'trains {self.template.network}, --size {self.size}, at {self.head.image_size} px, '
            f'{self.length}'
        )
        side = self.head.tiles
        if side:
            text += f', on {self.head.tiles_per_image} tiles of {side} px of each image'
        return text


def make_plan(dataset: DatasetInfo, options: Options) -> Plan:
    """Return what a training does.

    The values of the head's variables are those of the template, replaced in this order by those
    for the task and size, the options, and the tiles, the limit of objects and the length, which
    follow from the images.

    Raises:
        UserError: An option does not fit the dataset.
    """
    has_gpu = torch.cuda.is_available()
    template = choose_template(dataset, options.task)
    start = find_start(options.start, template) if options.start else None
    size = choose_size(template, options, start, has_gpu)
    dataset = split_validation(dataset)
    train = dataset.splits['train']
    if options.tiles is not None:
        check_can_tile(template)
    settings = choose_settings(template, size, options)
    if start:
        settings |= {'pretrained': None, 'load_from': start.checkpoint}
    if not options.flip and explain_mirroring(dataset.classes):
        settings['flip'] = False
    head = Head.read(CONFIGS / template.config).fill_in(settings)
    if options.tiles is not None:
        head = head.fill_in(choose_tiles(head.image_size, options.tiles, train))
    fullest = 0
    if template.has_objects:
        fullest = max(count_fullest(each, head.tiles) for each in dataset.splits.values())
        head = head.fill_in({'max_objects': choose_max_objects(fullest)})
    # The length of the training follows from the number of images or tiles.
    num_images = len(train.image_names) * head.tiles_per_image
    epochs = options.epochs or template.choose_epochs(size, num_images)
    length = choose_length(head.variables, epochs, num_images)
    return Plan(
        dataset=dataset,
        template=template,
        size=size,
        head=head.fill_in({length.variable: length.number}),
        num_seen=epochs * num_images,
        length=length,
        fullest=fullest,
        limit=start.limit if start else find_limit_of_pretrained(head.pretrained),
        has_gpu=has_gpu,
    )


def choose_template(dataset: DatasetInfo, task: str | None) -> Template:
    """Return the template of a task, by default that of the dataset's first type of annotations."""
    templates = [TEMPLATES[annotation_type] for annotation_type in dataset.annotation_types]
    for template in templates:
        if task in (None, template.option):
            return template
    tasks = ' or '.join(template.option for template in templates)
    raise UserError(
        f'{dataset.place} ({dataset.format}) has no annotations for --task {task}. Use --task '
        f'{tasks}'
    )


def choose_size(template: Template, options: Options, start: Start | None, has_gpu: bool) -> str:
    """Return the size of the network: that of the options, else of the model that the training
    starts from, else of the machine.

    Raise a UserError for a size that the template does not have.
    """
    size = options.size or (start.size if start else None)
    if size is None:
        size = 'tiny' if has_gpu else MINI
    if size not in template.networks:
        raise UserError(
            f'--size {size} is not for the task {template.option}. Choose one of '
            f'{", ".join(template.networks)}'
        )
    return size


def check_can_tile(template: Template) -> None:
    """Raise a UserError if a template cannot be trained on tiles, or a package for them is missing."""
    if not template.can_tile:
        raise UserError('--tiles is not for classification. Use --image-size')
    if template.has_objects:
        check_installed('--tiles', 'supervision')


def choose_max_objects(fullest: int) -> int:
    """Return the limit of objects that are found in an image or a tile, if the fullest one for
    training or validation has so many.
    """
    return max(MIN_MAX_OBJECTS, ceil(CROWD_MARGIN * fullest / 100) * 100)


def choose_settings(template: Template, size: str, options: Options) -> dict[str, Any]:
    """Return the variables of a template for a size and the options of ``mmgcvit train``.

    The options come last, so they replace the defaults of the template and of the size.
    """
    settings = {
        '_base_': ConfigPath(template.networks[size]),
        'pretrained': WEIGHTS.get(size),
        **template.list_defaults(size),
    }
    if size == MINI:
        settings['load_from'] = ConfigPath(f'demo/weights/{template.mini_weights}')
    given = options.list_given()
    if given.pop('no_flip', False):
        settings['flip'] = False
    if 'lr' in given:
        settings['lr_batch_size'] = None  # do not scale the learning rate that the user has set
    if options.pretrained is not None:
        given |= {'pretrained': resolve_weights(options.pretrained), 'load_from': None}
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


@dataclass(frozen=True)
class Length:
    """The length of a training."""

    variable: str  # the variable of a template that sets it, one of LENGTHS
    number: int  # its value

    def __str__(self) -> str:
        """Return for example ``12 epochs``."""
        return format_count(self.number, LENGTHS[self.variable])


def choose_length(head: Mapping[str, Any], epochs: int, num_images: int) -> Length:
    """Return the length of a training, as the variables of its config (``head``) set it."""
    if 'max_epochs' in head:
        return Length('max_epochs', epochs)
    return Length('max_iters', epochs * ceil(num_images / head['batch_size']))
