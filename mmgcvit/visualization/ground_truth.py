"""Load the images of a data set and their ground truth, in the form of predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import DATASETS

from ..datasets.checks.sources import leaf_datasets, type_name
from ..errors import UserError, first_line
from ..inference import Classification, Detections, Prediction, Segmentation
from ..inference.images import convert_array
from ..mmengine_utils import building_in

# Transforms that load the image.
LOADING = ('LoadImage', 'ApplyExifAsAnnotated')
# By default_scope: the transform that packs data samples, the one that loads annotations, and the key of a data set's
# entry without which an image has no ground truth.
PACKING = {'mmdet': 'PackDetInputs', 'mmseg': 'PackSegInputs', 'mmpretrain': 'PackInputs'}
ANNOTATIONS = {'mmdet': [{'type': 'LoadAnnotations', 'with_bbox': True}], 'mmseg': [{'type': 'LoadAnnotations'}]}
TRUTH_KEYS = {'mmdet': 'instances', 'mmseg': 'seg_map_path', 'mmpretrain': 'gt_label'}


def build_dataset(settings: ConfigDict, scope: str) -> BaseDataset:
    """Build a config's data set; a UserError if its files cannot be loaded."""
    try:
        with building_in(scope):
            return DATASETS.build(settings)
    # Data sets raise errors of any class for lists and annotation files.
    except Exception as error:
        raise UserError(
            f"the data set cannot be loaded: {first_line(error)}; 'mmgcvit check-data CONFIG' looks at it"
        ) from None


class GroundTruth:
    """The images of a built data set and their ground truth, loaded by the steps of its own pipeline.

    Args:
        dataset: The data set; its pipeline is not run.
        settings: Its config.
        scope: The default_scope of the config.
        classes: Names of classes; None for the data set's own.
    """

    def __init__(
        self, dataset: BaseDataset, settings: ConfigDict, scope: str, classes: Sequence[str] | None = None
    ) -> None:
        self.dataset, self.key = dataset, TRUTH_KEYS[scope]
        self.classes = dataset.metainfo.get('classes') or () if classes is None else classes
        steps = next(leaf_datasets(settings)).get('pipeline', [])
        annotations = [
            step for step in steps if type_name(step).startswith('Load') and 'Annotations' in type_name(step)
        ]
        with building_in(scope):
            self.load_image = Compose([step for step in steps if type_name(step).startswith(LOADING)])
            self.load_truth = Compose([*(annotations or ANNOTATIONS.get(scope, [])), {'type': PACKING[scope]}])

    def __len__(self) -> int:
        return len(self.dataset)

    def load(self, number: int) -> tuple[Path, np.ndarray, Prediction | None]:
        """Load an image: its file or a name for it, its pixels (blue, green, red), its ground truth if it has any."""
        info = self.dataset.get_data_info(number)
        path = Path(info.get('img_path') or f'{number:06d}.png')
        # CIFAR's files hold arrays, red, green, blue.
        channels = slice(None, None, -1 if 'img' in info else 1)
        has_truth = self.key in info
        try:
            loaded = self.load_image(info)
            image = convert_array(loaded['img'][..., channels])
            truth = convert_sample(self.load_truth(loaded)['data_samples'], self.classes) if has_truth else None
        # Transforms raise errors of any class on damaged files and annotations.
        except Exception as error:
            raise UserError(f'{path} cannot be loaded: {first_line(error)}') from None
        return path, image, truth


def convert_sample(sample: Any, classes: Sequence[str]) -> Prediction:
    """Convert the ground truth of an OpenMMLab data sample; unlabelled pixels keep a number that no class has."""

    def get_names(labels: np.ndarray) -> list[str]:
        return [classes[label] if label < len(classes) else f'class {label}' for label in labels]

    if 'gt_instances' in sample:
        objects = sample.gt_instances
        labels = objects.labels.numpy()
        masks = objects.masks.to_ndarray().astype(bool) if 'masks' in objects else None
        boxes = getattr(objects.bboxes, 'tensor', objects.bboxes).numpy()
        return Detections(boxes, np.ones(len(boxes), np.float32), labels, get_names(labels), masks)
    if 'gt_sem_seg' in sample:
        label_map = sample.gt_sem_seg.data[0].numpy()
        labels, areas = np.unique(label_map[label_map < len(classes)], return_counts=True)
        return Segmentation(label_map, labels, get_names(labels), areas)
    if len(sample.gt_label) != 1:
        raise UserError(f'it has {len(sample.gt_label)} classes; expected one class an image')
    label = int(sample.gt_label[0])
    scores = np.eye(max(len(classes), label + 1), dtype=np.float32)[label]
    return Classification(label, get_names([label])[0], 1.0, scores)
