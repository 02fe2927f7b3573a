"""Load the images of a dataset and their ground truth, which has the types of predictions, such as ``Detections``."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from ..config import get_type_name, iter_unwrapped_datasets
from ..errors import UserError, get_first_line
from ..inference.inputs import convert_to_bgr
from ..inference.results import Classification, Detections, Prediction, make_segmentation
from ..mmengine_utils import build_in_scope, get_image_name
from ..tasks import CLASSIFICATION, SEGMENTATION, TASK_BY_SCOPE


def build_dataset(settings: ConfigDict, scope: str, augmented: bool = False, masks: bool = True) -> BaseDataset:
    """Build the dataset of a config with a pipeline that only loads images and annotations, unless ``augmented``.

    With ``masks=False`` it loads no masks of objects, which take gigabytes in large images with hundreds of objects.
    Raise a UserError if the dataset cannot be built, for example because its annotation file is invalid.
    """
    settings = deepcopy(settings)
    # The datasets inside wrappers such as ConcatDataset.
    for inner in iter_unwrapped_datasets(settings) if not augmented else ():
        steps = inner.get('pipeline', [])
        images = [step for step in steps if get_type_name(step).startswith(('LoadImage', 'ApplyExif'))]
        annotations = [step for step in steps if 'Annotations' in get_type_name(step)]
        # mmpretrain's datasets need no transform that loads labels, and CIFAR needs none that loads images. In mmseg,
        # ADE20K's test images have no segmentation maps.
        if scope != CLASSIFICATION.scope:
            images = images or [{'type': 'LoadImageFromFile'}]
            has_no_maps = scope == SEGMENTATION.scope and 'seg_map_path' not in inner.get('data_prefix', {})
            annotations = [] if has_no_maps else annotations or [{'type': 'LoadAnnotations'}]
        if not masks:
            annotations = [{**step, 'with_mask': False} for step in annotations]
        inner.pipeline = [*images, *annotations, {'type': TASK_BY_SCOPE[scope].packing}]
    try:
        with build_in_scope(scope):
            return DATASETS.build(settings)
    # Datasets raise errors of any type for invalid file lists and annotation files.
    except Exception as error:
        reason = get_first_line(error)
        raise UserError(f"the dataset cannot be loaded ({reason}). Run 'mmgcvit check-data CONFIG'") from None


def load_sample(dataset: BaseDataset, index: int, classes: Sequence[str]) -> tuple[Path, np.ndarray, Prediction | None]:
    """Load a sample of a dataset (see :func:`build_dataset`): path, image in BGR order, and ground truth or None."""
    try:
        sample = dataset[index]
        ground_truth, path = convert_sample(sample['data_samples'], classes), sample['data_samples'].get('img_path')
        image = sample['inputs'].permute(1, 2, 0)
        # Transforms of colours return float32.
        image = (image.round().clamp(0, 255).byte() if image.is_floating_point() else image).numpy()
        # Samples of CIFAR have no path. Their images are RGB.
        return Path(path or f'{index:06d}.png'), convert_to_bgr(image if path else image[..., ::-1]), ground_truth
    # Transforms raise errors of any type on damaged files and annotations.
    except Exception as error:
        name = get_image_name(dataset.get_data_info(index))
        raise UserError(f'{name} cannot be loaded: {get_first_line(error)}') from None


def convert_sample(sample: Any, classes: Sequence[str]) -> Prediction | None:
    """Convert the ground truth of a sample. Return None if there is none. Unlabelled pixels keep the ignore index."""

    def get_names(labels: np.ndarray) -> list[str]:
        return [classes[label] if label < len(classes) else f'class {label}' for label in labels]

    def convert_objects(objects: Any) -> Detections:
        labels = objects.labels.numpy()
        masks = objects.masks.to_ndarray().astype(bool) if 'masks' in objects else None
        boxes = getattr(objects.bboxes, 'tensor', objects.bboxes).numpy()
        return Detections(boxes, np.ones(len(boxes), np.float32), labels, get_names(labels), masks)

    if 'gt_instances' in sample:
        ignored = convert_objects(sample.ignored_instances) if sample.get('ignored_instances') else None
        return replace(convert_objects(sample.gt_instances), ignored=ignored)
    if 'gt_sem_seg' in sample:
        return make_segmentation(sample.gt_sem_seg.data[0].numpy(), classes)
    if 'gt_label' not in sample:
        return None
    if len(sample.gt_label) != 1:
        raise UserError(f'the image has {len(sample.gt_label)} classes. Expected one class per image')
    label = int(sample.gt_label[0])
    scores = np.eye(max(len(classes), label + 1), dtype=np.float32)[label]
    return Classification(label, get_names([label])[0], 1.0, scores)
