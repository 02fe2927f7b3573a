"""Load the images of a data set and their ground truth, in the form of predictions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import DATASETS

from ..datasets.checks.images import loader_of
from ..datasets.checks.loading import loads
from ..datasets.checks.sources import leaf_datasets, steps_of, type_name
from ..errors import UserError, first_line
from ..inference import Classification, Detections, Prediction, Segmentation
from ..inference.images import convert_array, read_image
from ..inference.loading import LOADING
from ..mmengine_utils import building_in

PACKING = {'mmdet': 'PackDetInputs', 'mmseg': 'PackSegInputs', 'mmpretrain': 'PackInputs'}


@dataclass(frozen=True)
class TrueDetections(Detections):
    """The objects that are annotated in an image, with scores of 1.

    Attributes:
        ignored: (m, 4) float32, boxes in which detections do not count: crowds, and what is marked to be ignored.
    """

    ignored: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))


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
        self.dataset = dataset
        self.classes = dataset.metainfo.get('classes') or () if classes is None else classes
        leaf = next(leaf_datasets(settings))
        self.loader = loader_of(leaf)
        # The image is decoded by read_image.
        steps = [
            step for step in steps_of(leaf) if loads(step) and type_name(step) not in (LOADING, 'ApplyExifAsAnnotated')
        ]
        if scope != 'mmpretrain' and not any('LoadAnnotations' in str(step['type']) for step in steps):
            steps.append({'type': 'LoadAnnotations', **({'with_bbox': True} if scope == 'mmdet' else {})})
        with building_in(scope):
            self.annotations = Compose([*steps, {'type': PACKING[scope]}])

    def __len__(self) -> int:
        return len(self.dataset)

    def get_info(self, number: int) -> dict[str, Any]:
        """The data set's entry for an image, with its file, or a name for it, as ``'img_path'``."""
        info = self.dataset.get_data_info(number)
        return {**info, 'img_path': info.get('img_path') or f'{number:06d}.png'}

    def load_image(self, info: dict[str, Any]) -> np.ndarray:
        """The image of an entry, (height, width, 3) uint8, blue, green, red."""
        # CIFAR's files hold arrays, red, green, blue.
        return convert_array(info['img'][..., ::-1]) if 'img' in info else read_image(info['img_path'], self.loader)

    def load_truth(self, info: dict[str, Any], image: np.ndarray) -> Prediction:
        """The ground truth of an entry; a UserError if it cannot be loaded."""
        size = image.shape[:2]
        try:
            sample = self.annotations({**info, 'img': image, 'ori_shape': size, 'img_shape': size})['data_samples']
        # Transforms raise errors of any class on damaged files and annotations.
        except Exception as error:
            raise UserError(f'its ground truth cannot be loaded: {first_line(error)}') from None
        return convert_sample(sample, self.classes)


def convert_sample(sample: Any, classes: Sequence[str]) -> Prediction:
    """Convert the ground truth of an OpenMMLab data sample; unlabelled pixels keep a number that no class has."""

    def get_names(labels: np.ndarray) -> list[str]:
        return [classes[label] if label < len(classes) else f'class {label}' for label in labels]

    if 'gt_instances' in sample:
        objects = sample.gt_instances
        labels = objects.labels.numpy()
        masks = objects.masks.to_ndarray().astype(bool) if 'masks' in objects else None
        boxes, ignored = (
            getattr(each.bboxes, 'tensor', each.bboxes).numpy() for each in (objects, sample.ignored_instances)
        )
        scores = np.ones(len(boxes), np.float32)
        return TrueDetections(boxes, scores, labels, get_names(labels), masks, ignored=ignored)
    if 'gt_sem_seg' in sample:
        label_map = sample.gt_sem_seg.data[0].numpy()
        labels, areas = np.unique(label_map[label_map < len(classes)], return_counts=True)
        return Segmentation(label_map, labels, get_names(labels), areas)
    labels = sample.get('gt_label', ())
    if len(labels) != 1:
        raise UserError(f'it has {len(labels)} classes; expected one class an image')
    label = int(labels[0])
    return Classification(
        label, get_names([label])[0], 1.0, np.eye(max(len(classes), label + 1), dtype=np.float32)[label]
    )
