"""Load images of a dataset with their ground truth, which has the types of predictions."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from mmengine.structures import BaseDataElement, InstanceData
from numpy.typing import NDArray

from ..config import get_type_name
from ..datasets.checks.sources import iter_unwrapped_datasets
from ..errors import UserError, get_first_line
from ..inference.inputs import convert_to_bgr
from ..inference.results import Classification, Detections, Prediction, make_segmentation
from ..mmengine_utils import build_in_scope, get_image_name
from ..tasks import CLASSIFICATION, SEGMENTATION, TASK_BY_SCOPE


def build_dataset(
    settings: ConfigDict, scope: str, augmented: bool = False, masks: bool = True
) -> BaseDataset:
    """Build the dataset of a config with a pipeline that only loads images and annotations, unless
    ``augmented``.

    With ``masks=False`` it loads no masks of objects, which take gigabytes in large images with
    hundreds of objects. Raise a UserError if the dataset cannot be built, for example because its
    annotation file is invalid.
    """
    settings = deepcopy(settings)
    if not augmented:
        # The datasets inside wrappers such as ConcatDataset.
        for inner in iter_unwrapped_datasets(settings):
            inner.pipeline = make_loading_pipeline(inner, scope, masks)
    try:
        with build_in_scope(scope):
            return DATASETS.build(settings)
    # Datasets raise errors of any type for invalid file lists and annotation files.
    except Exception as error:
        raise UserError(
            f'the dataset cannot be loaded ({get_first_line(error)}). Run '
            "'mmgcvit check-data CONFIG'"
        ) from error


def make_loading_pipeline(settings: ConfigDict, scope: str, masks: bool) -> list[dict[str, Any]]:
    """Make the part of a dataset's pipeline that loads images and annotations."""
    steps = settings.get('pipeline', [])
    images = [step for step in steps if get_type_name(step).startswith(('LoadImage', 'ApplyExif'))]
    annotations = [step for step in steps if 'Annotations' in get_type_name(step)]
    # mmpretrain's datasets need no transform that loads labels, and CIFAR needs none that loads
    # images.
    if scope != CLASSIFICATION.scope:
        images = images or [{'type': 'LoadImageFromFile'}]
        annotations = annotations or [{'type': 'LoadAnnotations'}]
    # In mmseg, ADE20K's test images have no segmentation maps.
    if scope == SEGMENTATION.scope and 'seg_map_path' not in settings.get('data_prefix', {}):
        annotations = []
    if not masks:
        annotations = [{**step, 'with_mask': False} for step in annotations]
    return [*images, *annotations, {'type': TASK_BY_SCOPE[scope].packing}]


class Sample(NamedTuple):
    """An image of a dataset."""

    path: Path
    image: NDArray[np.uint8]  # (height, width, 3) in BGR order
    ground_truth: Prediction | None


def load_sample(dataset: BaseDataset, index: int, classes: Sequence[str]) -> Sample:
    """Load a sample of a dataset (see :func:`build_dataset`).

    Raise a UserError that names the image if it cannot be loaded.
    """
    try:
        sample = apply_pipeline(dataset, index)
        ground_truth = convert_ground_truth(sample['data_samples'], classes)
        image = sample['inputs'].permute(1, 2, 0)
        if image.is_floating_point():  # as transforms of colours return
            image = image.round().clamp(0, 255).byte()
        image = image.numpy()
        path = sample['data_samples'].get('img_path')
        if not path:
            # Samples of CIFAR have no path. Their images are RGB.
            path = f'{index:06d}.png'
            image = image[..., ::-1]
        return Sample(Path(path), convert_to_bgr(image), ground_truth)
    except UserError as error:
        name = get_image_name(dataset.get_data_info(index))
        raise UserError(f'{name} cannot be loaded: {error}') from error


def apply_pipeline(dataset: BaseDataset, index: int) -> dict[str, Any]:
    """Return a sample of a dataset as its pipeline packs it. Raise a UserError if it fails."""
    try:
        return dataset[index]
    # Transforms raise errors of any type on damaged files and annotations.
    except Exception as error:
        raise UserError(get_first_line(error)) from error


def convert_ground_truth(sample: BaseDataElement, classes: Sequence[str]) -> Prediction | None:
    """Convert the ground truth of a sample. Return None if there is none.

    Unlabelled pixels keep the ignore index.
    """
    if 'gt_instances' in sample:
        objects = convert_objects(sample.gt_instances, classes)
        if sample.get('ignored_instances'):
            return replace(objects, ignored=convert_objects(sample.ignored_instances, classes))
        return objects
    if 'gt_sem_seg' in sample:
        return make_segmentation(sample.gt_sem_seg.data[0].numpy(), classes)
    if 'gt_label' not in sample:
        return None
    if len(sample.gt_label) != 1:
        raise UserError(
            f'the image has {len(sample.gt_label)} classes. Expected one class per image'
        )
    label = sample.gt_label.item()
    if label >= len(classes):
        raise UserError(
            f'its class has the index {label}, but the model has {len(classes)} classes. Use a '
            'dataset with the classes of the model'
        )
    scores = np.eye(len(classes), dtype=np.float32)[label]
    return Classification(label=label, class_name=classes[label], score=1.0, scores=scores)


def convert_objects(objects: InstanceData, classes: Sequence[str]) -> Detections:
    """Convert the boxes, labels and masks of mmdet's ground truth."""
    boxes = getattr(objects.bboxes, 'tensor', objects.bboxes).numpy()
    masks = objects.masks.to_ndarray().astype(bool) if 'masks' in objects else None
    scores = np.ones(len(boxes), np.float32)
    return Detections(
        boxes=boxes,
        scores=scores,
        labels=objects.labels.numpy(),
        classes=classes,
        masks=masks,
    )
