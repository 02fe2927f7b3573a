"""What is true of a data set's images, in the form in which models predict, loaded by the hosts."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from ...errors import first_line
from ...inference import Classification, Detections, Prediction, Predictor, Segmentation, UserError
from ...inference.images import from_array, read_image
from ...inference.loading import quiet_hosts


@dataclass(frozen=True)
class TrueDetections(Detections):
    """The objects that are in an image, with scores of 1.

    Attributes:
        crowds: (m, 4) float32, boxes in which nothing counts: of crowds, and of what is marked to be ignored.
    """

    crowds: np.ndarray = field(default_factory=lambda: np.zeros((0, 4), np.float32))


class Truths(ABC):
    """A data set's images and what is true of them.

    Args:
        dataset: The host's.
        model: Whose classes it is to have; its way to decode files is the one that is taken.

    Raises:
        UserError: The data set has another number of classes than the model.
    """

    def __init__(self, dataset: Any, model: Predictor) -> None:
        self.dataset = dataset
        self.model = model
        names = dataset.metainfo.get('classes')
        if names and len(names) != len(model.classes):
            raise UserError(
                f'the data set has {len(names)} classes, the model {len(model.classes)}: name the config that this '
                'checkpoint was trained with'
            )

    def __len__(self) -> int:
        return len(self.dataset)

    def info(self, number: int) -> dict[str, Any]:
        """What the host's data set says of an image; ``'img_path'`` is its file, or what stands for its name."""
        info = self.dataset.get_data_info(number)
        return {**info, 'img_path': info.get('img_path') or f'{number:06d}.png'}

    def image(self, info: dict[str, Any]) -> np.ndarray:
        """An image (height, width, 3) uint8, blue, green, red.

        Raises:
            UserError: It cannot be read.
        """
        # CIFAR's files hold arrays, red, green, blue.
        return from_array(info['img'][..., ::-1]) if 'img' in info else read_image(info['img_path'], self.model.loader)

    def truth(self, info: dict[str, Any], image: np.ndarray) -> Prediction:
        """What is true of an image.

        Raises:
            UserError: It cannot be loaded, or does not fit the image.
        """
        try:
            with self.model.in_scope():
                return self.loaded({**info, 'ori_shape': image.shape[:2], 'img_shape': image.shape[:2]})
        except UserError:
            raise
        # What hosts raise on damaged files and annotations.
        except Exception as error:
            raise UserError(f'what is true of it cannot be loaded: {first_line(error)}') from None

    @abstractmethod
    def loaded(self, info: dict[str, Any]) -> Prediction:
        """See :meth:`truth`."""


class TruthsOfDetection(Truths):
    """Boxes, and masks where the annotations have them."""

    def loaded(self, info: dict[str, Any]) -> TrueDetections:
        from mmdet.datasets.transforms import LoadAnnotations

        with_masks = bool(info['instances']) and all('mask' in instance for instance in info['instances'])
        found = LoadAnnotations(with_bbox=True, with_mask=with_masks, box_type=None)(info)
        counted = ~found['gt_ignore_flags']
        boxes, labels = found['gt_bboxes'].reshape(-1, 4), found['gt_bboxes_labels'][counted]
        return TrueDetections(
            boxes=boxes[counted],
            scores=np.ones(len(labels), np.float32),
            labels=labels,
            class_names=self.model.names(labels),
            masks=found['gt_masks'].to_ndarray().astype(bool)[counted] if with_masks else None,
            crowds=boxes[~counted],
        )


class TruthsOfSegmentation(Truths):
    """The class of every pixel; those that are not labelled have a number that is none of a class."""

    def loaded(self, info: dict[str, Any]) -> Segmentation:
        from mmseg.datasets.transforms import LoadAnnotations

        label_map = LoadAnnotations()(info)['gt_seg_map'].astype(np.int32)
        if label_map.shape != info['ori_shape']:
            raise UserError(f'its labels have {label_map.shape} rows and columns, its pixels {info["ori_shape"]}')
        labels, areas = np.unique(label_map[label_map < len(self.model.classes)], return_counts=True)
        return Segmentation(label_map, labels.astype(np.int64), self.model.names(labels), areas.astype(np.int64))


class TruthsOfClassification(Truths):
    """The class of an image."""

    def loaded(self, info: dict[str, Any]) -> Classification:
        labels = np.atleast_1d(info['gt_label'])
        if len(labels) != 1:
            raise UserError(f'it is of {len(labels)} classes; mistakes are counted for images of one class each')
        scores = np.zeros(len(self.model.classes), np.float32)
        scores[labels[0]] = 1.0
        return Classification(int(labels[0]), self.model.names(labels)[0], 1.0, scores)


KINDS = {
    'detection': TruthsOfDetection,
    'segmentation': TruthsOfSegmentation,
    'classification': TruthsOfClassification,
}


def truths_of(cfg: Config, loader: str, model: Predictor) -> Truths:
    """What is true of the data set of a loader.

    Args:
        cfg: A whole config.
        loader: The name of a data loader in it.
        model: The model of that config.

    Raises:
        UserError: There is no such loader, or its data set cannot be loaded.
    """
    settings = (cfg.get(loader) or {}).get('dataset')
    if not settings:
        raise UserError(f'the config has no {loader} with a data set')
    try:
        with quiet_hosts(), DefaultScope.overwrite_default_scope(model.scope):
            dataset = DATASETS.build(settings)
    # Whatever the hosts find wrong with a list or an annotation file.
    except Exception as error:
        raise UserError(
            f"the data set of {loader} cannot be loaded: {first_line(error)}; 'mmgcvit check-data CONFIG' looks at it"
        ) from None
    return KINDS[model.task](dataset, model)
