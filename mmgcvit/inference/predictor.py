"""Predict images with trained models: a base class, and a subclass for each task."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from torch import Tensor, nn

from ..datasets.decoding import DecodingSettings
from ..errors import MANY, UserError, get_first_line, shorten
from ..tasks import CLASSIFICATION, DETECTION, SEGMENTATION
from .drawing import Colour, draw_prediction
from .inputs import ImageLike, convert_to_array
from .results import Classification, Detections, Outcome, Prediction, Segmentation, make_segmentation
from .tiles import predict_in_tiles, sv

# Pictures are enlarged until their shorter side has the first length in pixels, or their longer side the second.
MIN_DRAWN_SIDE, MAX_ENLARGED_SIDE = 224, 4096


@dataclass(eq=False, repr=False)
class Predictor(ABC):
    """A trained model, as returned by :func:`mmgcvit.load`. Threads may share it, since calls do not change it."""

    task: ClassVar[str]  # 'detection', 'segmentation' or 'classification'
    scope: ClassVar[str]  # the default_scope of configs for this task

    network: nn.Module  # built by OpenMMLab's registry
    pipeline: Compose  # the config's test pipeline without the transforms that load images and annotations
    decoding: DecodingSettings  # how the config's test pipeline decodes image files
    classes: list[str]
    palette: list[Colour]  # RGB, for each class
    config: Path | None = None  # None if the model was not loaded from a config
    checkpoint: str | None = None  # the file or URL of the weights
    tiles: int | None = None  # side in pixels of the tiles in which larger images are predicted; not of classifiers
    tiles_per_batch: int = 4

    @abstractmethod
    def read_sample(self, sample: Any) -> Prediction:
        """Convert the data sample that the network returns for one image to a prediction."""

    @property
    def device(self) -> torch.device:
        """Device of the network's parameters."""
        return next(self.network.parameters()).device

    def __call__(
        self, images: ImageLike | Sequence[ImageLike], batch_size: int = 1, tiles: int | None = None
    ) -> Prediction | list[Prediction]:
        """Predict one or several images.

        Args:
            images: An image, or several in a list or tuple (see :func:`.inputs.convert_to_array`).
            batch_size: Number of images (or tiles) in a batch.
            tiles: Side in pixels of overlapping tiles to predict. Default: as in the training.

        Returns:
            :class:`Detections`, :class:`Segmentation` or :class:`Classification`. For a list or tuple, a list of them.

        Raises:
            UserError: An image cannot be read or predicted, or an argument is invalid.
        """
        if not isinstance(images, (list, tuple)):
            return self([images], batch_size, tiles)[0]
        if batch_size < 1:
            raise UserError(f'batch_size={batch_size}: expected at least 1')
        model = self if tiles is None else self.with_tiles(tiles, batch_size)
        predictions = []
        for begin in range(0, len(images), batch_size):
            batch = [convert_to_array(image, self.decoding) for image in images[begin : begin + batch_size]]
            for index, outcome in enumerate(model.predict_batch(batch), start=begin):
                is_path = isinstance(images[index], (str, os.PathLike))
                predictions.append(outcome.get(images[index] if is_path else f'image {index}'))
        return predictions

    def with_tiles(self, side: int, batch_size: int) -> 'Predictor':
        """Return this model with other tiles. Raise a UserError if it is a classifier."""
        if self.task == CLASSIFICATION.name:
            raise UserError('a classifier predicts whole images. Remove --tiles (in Python: tiles=...)')
        return replace(self, tiles=side, tiles_per_batch=batch_size)

    def draw(self, image: ImageLike, prediction: Prediction | None = None, with_labels: bool = True) -> np.ndarray:
        """Draw a prediction on a copy of an image. If ``prediction`` is None, predict the image first.

        Return a picture (height, width, 3) uint8 in BGR order. If its shorter side were less than 224 px, it is
        enlarged to 224 px, so that text fits, unless the longer side would exceed 4096 px.
        """
        image = convert_to_array(image, self.decoding)
        if prediction is None:
            prediction = self(image)
        shorter, longer = sorted(image.shape[:2])
        scale = max(1.0, min(MIN_DRAWN_SIDE / shorter, MAX_ENLARGED_SIDE / longer))
        return draw_prediction(image, prediction, self.palette, scale, with_labels=with_labels)

    def predict_batch(self, images: Sequence[np.ndarray]) -> list[Outcome]:
        """Predict images (height, width, 3) in BGR order. An image that fails does not stop the others."""
        if self.tiles and any(max(image.shape[:2]) > self.tiles for image in images):
            if len(images) > 1:
                return [outcome for image in images for outcome in self.predict_batch([image])]
            try:
                return [Outcome(predict_in_tiles(self, images[0]))]
            except UserError as error:
                return [Outcome(error=error)]
        try:
            prepared = [self.prepare_image(image) for image in images]
            # A batch of images with different shapes would be padded, which changes the predictions, or fail. The last
            # line of this method predicts such images one by one, and also those of a batch that fails.
            if len({sample['inputs'].shape for sample in prepared}) == 1:
                return [Outcome(prediction) for prediction in self.run_network(prepared)]
        except UserError as error:
            if len(images) == 1:
                return [Outcome(error=error)]
        return [outcome for image in images for outcome in self.predict_batch([image])]

    def prepare_image(self, image: np.ndarray) -> dict[str, Any]:
        """Apply the test pipeline to an image (height, width, 3) in BGR order. Raise a UserError if that fails."""
        size = image.shape[:2]
        loaded = {'img': image, 'img_id': 0, 'img_path': None, 'img_shape': size, 'ori_shape': size}
        try:
            return self.pipeline(loaded)
        # Transforms raise errors of any type.
        except Exception as error:
            raise UserError(
                f'the test pipeline cannot prepare the image whose height and width are {size} '
                f'({get_first_line(error)})'
            ) from None

    def run_network(self, batch: Sequence[dict[str, Any]]) -> list[Prediction]:
        """Return the predictions of prepared images. Raise a UserError if the network fails."""
        try:
            with torch.no_grad():
                # test_step calls the data_preprocessor, and returns boxes and masks in pixels of the original image.
                return [self.read_sample(sample) for sample in self.network.test_step(pseudo_collate(batch))]
        # Networks raise errors of any type for sizes that they do not support, and if memory runs out.
        except Exception as error:
            raise UserError(f'the network fails on the image ({get_first_line(error)})') from None

    def get_names(self, labels: Sequence[int]) -> list[str]:
        """Return the names of class indices."""
        return [self.classes[label] for label in labels]

    def find_label(self, name: str | int) -> int:
        """Return the index of the class with this name or index. Raise a UserError if there is no such class."""
        if name in self.classes:
            return self.classes.index(name)
        if str(name).isdecimal() and int(name) < len(self.classes):
            return int(name)
        raise UserError(f'the model has no class {name}. Its classes are {shorten(self.classes, MANY)}')


def convert_to_float32(values: Tensor) -> np.ndarray:
    """Convert a tensor of any floating-point dtype to a float32 array, since NumPy has no bfloat16."""
    return values.float().cpu().numpy()


@dataclass(eq=False, repr=False)
class Detector(Predictor):
    """Predictor for detection and instance segmentation."""

    task, scope = DETECTION.name, DETECTION.scope

    score_thr: float = 0.3  # detections with a lower score are dropped

    def read_sample(self, sample: Any) -> Detections:
        objects = sample.pred_instances.cpu()
        # A diverged network predicts NaN or infinite boxes.
        objects = objects[(objects.scores >= self.score_thr) & torch.isfinite(objects.bboxes).all(1)]
        # Sort, since Mask2Former returns its objects unsorted.
        objects = objects[objects.scores.argsort(descending=True, stable=True)]
        labels, boxes = objects.labels.numpy().astype(np.int64), convert_to_float32(objects.bboxes)
        masks = objects.get('masks')
        if isinstance(masks, list):  # RLE, from the loops in engine/loops.py
            masks = sv.CompactMask.from_coco_rle(masks, boxes, sample.ori_shape)
        return Detections(
            boxes=boxes,
            scores=convert_to_float32(objects.scores),
            labels=labels,
            class_names=self.get_names(labels),
            masks=masks.numpy().astype(bool) if isinstance(masks, Tensor) else masks,
        )


class Segmentor(Predictor):
    """Predictor for semantic segmentation."""

    task, scope = SEGMENTATION.name, SEGMENTATION.scope

    def read_sample(self, sample: Any) -> Segmentation:
        return make_segmentation(sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int32), self.classes)


class Classifier(Predictor):
    """Predictor for image classification."""

    task, scope = CLASSIFICATION.name, CLASSIFICATION.scope

    def read_sample(self, sample: Any) -> Classification:
        scores = convert_to_float32(sample.pred_score)
        if not np.isfinite(scores).all():  # JSON has no NaN
            raise UserError('its scores are NaN or infinite. Use an earlier checkpoint')
        label = int(scores.argmax())
        return Classification(label, self.get_names([label])[0], float(scores[label]), scores)
