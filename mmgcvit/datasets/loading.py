"""Build the dataset of a config, whose pipeline only loads images and their ground truth."""

from copy import deepcopy
from typing import Any

from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from ..errors import UserError, get_first_line
from ..host.config import get_type_name
from ..host.datasets import iter_transforms, iter_unwrapped_datasets
from ..host.runners import build_in_scope
from ..host.tasks import CLASSIFICATION, DETECTION, SEGMENTATION, Task, find_task

Steps = list[dict[str, Any]]
# mmdet's transforms, whose place LoadEncodedAnnotations takes
MMDET_LOADING = ('LoadAnnotations', 'mmdet.LoadAnnotations')


def build_dataset(
    settings: ConfigDict, scope: str, augmented: bool = False, masks: bool = True
) -> BaseDataset:
    """Build the dataset of a config with a pipeline that only loads images and annotations, unless
    ``augmented``.

    With ``masks=False`` it loads no masks of objects, which take gigabytes in large images with
    hundreds of objects. Raise a UserError if the scope has no task, or the dataset cannot be built,
    for example because its annotation file is invalid.
    """
    task = find_task(scope)
    settings = deepcopy(settings)
    if not augmented:
        # The datasets inside wrappers such as ConcatDataset.
        for inner in iter_unwrapped_datasets(settings):
            inner.pipeline = make_loading_pipeline(inner, task, masks)
    try:
        with build_in_scope(scope):
            return DATASETS.build(settings)
    # Datasets raise errors of any type for invalid file lists and annotation files.
    except Exception as error:
        raise UserError(
            f'the dataset cannot be loaded ({get_first_line(error)}). Run '
            "'mmgcvit check-data CONFIG'"
        ) from error


def make_loading_pipeline(settings: ConfigDict, task: Task, masks: bool) -> Steps:
    """Make the part of a dataset's pipeline that loads images and annotations."""
    # Also those inside of wrappers such as SkipUnreadable, which a run's config has
    steps = [*iter_transforms(settings)]
    images = [step for step in steps if get_type_name(step).startswith(('LoadImage', 'ApplyExif'))]
    # Not FilterAnnotations, which leaves out small objects of a training
    annotations = [
        step
        for step in steps
        if 'Annotations' in get_type_name(step) and 'Filter' not in get_type_name(step)
    ]
    # mmpretrain's datasets need no transform that loads labels, and CIFAR needs none that loads
    # images.
    if task is not CLASSIFICATION:
        images = images or [{'type': 'LoadImageFromFile'}]
        annotations = annotations or [{'type': 'LoadAnnotations'}]
    if task is DETECTION:
        annotations = load_encoded(annotations, masks)
    # In mmseg, ADE20K's test images have no segmentation maps.
    if task is SEGMENTATION and 'seg_map_path' not in settings.get('data_prefix', {}):
        annotations = []
    return [*images, *annotations, {'type': task.packing}]


def load_encoded(annotations: Steps, masks: bool) -> Steps:
    """Return steps that load masks as RLE, or no masks, in place of mmdet's."""
    from ..fixes import mmdet as mmdet_fixes  # noqa: F401  # it registers the transform

    if not masks:
        annotations = [{**step, 'with_mask': False} for step in annotations]
    return [
        {**step, 'type': 'mmgcvit.LoadEncodedAnnotations'}
        if step['type'] in MMDET_LOADING
        else step
        for step in annotations
    ]
