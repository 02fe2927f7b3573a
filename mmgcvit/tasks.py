"""The tasks: what differs between detection, segmentation and classification, in one table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MINI = 'mini'
# The other values of --size, with their names in the names of configs.
SIZES = {'xxtiny': 'xxt', 'xtiny': 'xt', 'tiny': 't', 'small': 's', 'base': 'b', 'large': 'l'}


@dataclass(frozen=True)
class Template:
    """A config of this project whose head ``mmgcvit train --data`` fills in for datasets with one type of annotations.

    Attributes:
        option: The value of ``--task``.
        network: The name of the network, for messages.
        config: The file name of the template.
        networks: The file name of the config of the network (the template's ``_base_``), by ``--size``.
        weights: The weights in ``configs/demo/weights`` from which ``--size mini`` starts.
        num_seen: The number of images that a training of ``--size mini`` sees by default.
        head: Values of variables at the template's head that differ for this type of annotations.
        mini_head: Values that differ for ``--size mini``.
    """

    option: str
    network: str
    config: str
    networks: Mapping[str, str]
    weights: str
    num_seen: int
    mini_head: Mapping[str, Any]
    head: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A task of a model.

    Attributes:
        name: Its name in results: ``Predictor.task``, and ``task`` in the metadata of ONNX files.
        scope: The OpenMMLab package with its models, which is the ``default_scope`` of configs.
        packing: The type of the transform that packs a sample, the last of a pipeline.
        counted: What a confusion matrix counts.
        score: What the score of an image is, by which ``mmgcvit mistakes`` finds the worst images.
        templates: The template by type of annotations (``DatasetInfo.annotation_types``).
    """

    name: str
    scope: str
    packing: str
    counted: str
    score: str
    templates: Mapping[str, Template]


def list_networks(mini: str, pattern: str, sizes: tuple[str, ...] = ('tiny', 'small', 'base')) -> dict[str, str]:
    """Return the file names of configs by size."""
    return {MINI: f'demo/{mini}.py', **{size: f'{pattern.format(SIZES[size])}.py' for size in sizes}}


MASK_RCNN = list_networks('mask_rcnn_gcvit_digits', 'mask_rcnn_gcvit_{}')
MASK_RCNN_WEIGHTS = 'mask_rcnn_gcvit_objects.safetensors'
MINI_DETECTOR = {'image_size': 192, 'batch_size': 8, 'workers': 2, 'lr': 1.5e-3, 'lr_batch_size': 8}
MINI_SEGMENTOR = {**MINI_DETECTOR, 'image_size': 128, 'window_size': (4, 4, 8, 4), 'lovasz': True}

DETECTION = Task(
    'detection',
    'mmdet',
    packing='PackDetInputs',
    counted='objects',
    score='F1',
    templates={
        'boxes': Template(
            'detect',
            'Faster R-CNN',
            'custom_coco.py',
            MASK_RCNN,
            MASK_RCNN_WEIGHTS,
            num_seen=1600,
            mini_head={**MINI_DETECTOR, 'random_crops': False, 'cosine': True},
            head={'masks': False},
        ),
        'masks': Template(
            'segment', 'Mask R-CNN', 'custom_coco.py', MASK_RCNN, MASK_RCNN_WEIGHTS, 1600, mini_head=MINI_DETECTOR
        ),
    },
)
SEGMENTATION = Task(
    'segmentation',
    'mmseg',
    packing='PackSegInputs',
    counted='pixels',
    score='mean IoU',
    templates={
        'seg_maps': Template(
            'segment',
            'UPerNet',
            'custom_seg.py',
            list_networks('upernet_gcvit_digits', 'upernet_gcvit_{}'),
            'upernet_gcvit_objects.safetensors',
            num_seen=4800,
            mini_head=MINI_SEGMENTOR,
            # Reads lists of pairs; mmseg's datasets need one suffix for all images and one for all maps.
            head={'dataset_type': 'mmgcvit.PairedSegDataset'},
        )
    },
)
CLASSIFICATION = Task(
    'classification',
    'mmpretrain',
    packing='PackInputs',
    counted='images',
    score='score of the true class',
    templates={
        'classes': Template(
            'classify',
            'a classifier',
            'custom_cls.py',
            list_networks('gcvit_digits_cls', 'gcvit_{}_in1k', tuple(SIZES)),
            MASK_RCNN_WEIGHTS,
            num_seen=6400,
            mini_head={'image_size': 64, 'lr': 1e-3},
        )
    },
)
TASKS = (DETECTION, SEGMENTATION, CLASSIFICATION)
TASK_BY_NAME = {task.name: task for task in TASKS}
TASK_BY_SCOPE = {task.scope: task for task in TASKS}
TEMPLATES = {annotation_type: template for task in TASKS for annotation_type, template in task.templates.items()}
