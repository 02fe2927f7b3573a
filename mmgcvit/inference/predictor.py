"""A trained model that is called on images: what the three tasks share, then each task."""

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from torch import Tensor, nn

from ..datasets.checks.images import Loader
from ..errors import UserError, first_line
from .drawing import Colour, draw_prediction
from .images import ImageLike, as_array
from .results import Classification, Detections, Panoptic, Prediction, Segmentation
from .tiles import TiledPredictor

# Smaller pictures of a class are enlarged to this side, so that text fits in, but no longer than the other.
MIN_DRAWN_SIDE, MAX_ENLARGED_SIDE = 224, 2240


@dataclass(eq=False, repr=False)
class Predictor(ABC):
    """A trained model; :func:`mmgcvit.load` makes one. Calls keep no state, so threads may share it.

    Attributes:
        task: ``'detection'``, ``'segmentation'`` or ``'classification'``.
        classes: The class names by their numbers; for Grounding DINO what it looks for, which may be set.
        palette: The colours of the classes, red, green, blue.
        network: The OpenMMLab model.
        pipeline: The config's test pipeline without loading.
        loader: How the config's data set decodes files.
    """

    task: ClassVar[str]
    # The default_scope of configs for this task.
    scope: ClassVar[str]

    network: nn.Module
    pipeline: Compose
    loader: Loader
    classes: list[str]
    palette: list[Colour]
    # Of the images that the pipeline takes.
    dtype: type = np.uint8

    @abstractmethod
    def read_sample(self, sample: Any) -> Prediction:
        """Convert the OpenMMLab data sample of one image to plain values."""

    @property
    def device(self) -> torch.device:
        """The device of the network's parameters."""
        return next(self.network.parameters()).device

    def __call__(
        self, images: ImageLike | Sequence[ImageLike], batch_size: int = 1, tiles: int | None = None
    ) -> Prediction | list[Prediction]:
        """Predict.

        Args:
            images: An image, or several in a list or tuple. An image is a path; an array of shape (height, width, 3)
                in the order **blue, green, red**, as ``cv2.imread`` gives it; or an image of Pillow's.
            batch_size: The number of images, or tiles, at a time.
            tiles: Predict larger images in overlapping tiles of so many pixels a side.

        Returns:
            :class:`Detections`, :class:`Segmentation` or :class:`Classification`; a list of them for several images.

        Raises:
            UserError: An image cannot be read, or the network cannot take it; says which.
        """
        if not isinstance(images, (list, tuple)):
            return self([images], batch_size, tiles)[0]
        if batch_size < 1:
            raise UserError(f'batch_size={batch_size}: expected at least 1')
        model = self if tiles is None else TiledPredictor(self, tiles, batch_size)
        found = []
        for begin in range(0, len(images), batch_size):
            batch = [as_array(image, self.loader) for image in images[begin : begin + batch_size]]
            for number, each in enumerate(model.predict_batch(batch), start=begin):
                if isinstance(each, UserError):
                    what = images[number] if isinstance(images[number], str) else f'image {number}'
                    raise UserError(f'{what}: {each}')
                found.append(each)
        return found

    def draw(self, image: ImageLike, prediction: Prediction | None = None) -> np.ndarray:
        """Draw a prediction into a copy of an image.

        Args:
            image: As for a call.
            prediction: What a call has returned for it, or a part of that; None to predict it.

        Returns:
            (height, width, 3) uint8, blue, green, red, as ``cv2.imwrite`` takes it. Pictures of a classifier that are
            smaller than 224 px are enlarged, so that text fits in.
        """
        image = as_array(image, self.loader)
        if prediction is None:
            prediction = self(image)
        shorter, longer = sorted(image.shape[:2])
        enlarged = max(1.0, min(MIN_DRAWN_SIDE / shorter, MAX_ENLARGED_SIDE / longer))
        scale = enlarged if isinstance(prediction, Classification) else 1.0
        return draw_prediction(image, prediction, self.palette, scale)

    def predict_batch(self, images: Sequence[np.ndarray]) -> list[Prediction | UserError]:
        """Predict images (height, width, 3), blue, green, red; a UserError takes the place of one that fails."""
        found: list[Any] = [None] * len(images)
        groups = defaultdict(list)
        for number, image in enumerate(images):
            try:
                prepared = self.prepare_image(image)
            except UserError as error:
                found[number] = error
            else:
                groups[self.choose_group(prepared)].append((number, prepared))
        for group in groups.values():
            numbers, batch = zip(*group, strict=True)
            for number, each in zip(numbers, self.predict_group(batch), strict=True):
                found[number] = each
        return found

    def prepare_image(self, image: np.ndarray) -> dict[str, Any]:
        """Apply the test pipeline to an image (height, width, 3), blue, green, red; a UserError if that fails."""
        height, width = size = image.shape[:2]
        image = image.astype(self.dtype, copy=False)
        loaded = {'img': image, 'img_id': 0, 'img_path': None, 'img_shape': size, 'ori_shape': size}
        # For models that find classes by their names, as Grounding DINO.
        loaded.update(text=tuple(self.classes), custom_entities=True)
        try:
            return self.pipeline(loaded)
        # Transforms raise errors of any class.
        except Exception as error:
            reason = f'the test pipeline cannot prepare it ({first_line(error)})'
            if isinstance(error, cv2.error) and error.func == 'resize':
                reason = f'{width} x {height} pixels are too thin: resized, a side is shorter than one; crop the image'
            raise UserError(reason) from None

    def choose_group(self, prepared: dict[str, Any]) -> Any:
        """Images of one group form a batch: those of one shape, which mmseg and mmpretrain need."""
        return tuple(prepared['inputs'].shape)

    def predict_group(self, batch: Sequence[dict[str, Any]]) -> list[Prediction | UserError]:
        """Predict prepared images of one group; if that fails, each alone."""
        try:
            with torch.no_grad():
                # Includes the data_preprocessor; boxes and masks come back in pixels of the loaded image.
                samples = self.network.test_step(pseudo_collate(batch))
            return [self.read_sample(sample) for sample in samples]
        except UserError as error:
            reason = str(error)
        # What networks raise: ValueError for sizes, RuntimeError for memory and kernels.
        except (ValueError, RuntimeError) as error:
            reason = f'the network cannot take it ({first_line(error)})'
        if len(batch) > 1:
            return [each for prepared in batch for each in self.predict_group([prepared])]
        return [UserError(reason)]

    def get_names(self, labels: Sequence[int]) -> list[str]:
        """The names of classes by their numbers."""
        return [self.classes[label] if label < len(self.classes) else f'class {label}' for label in labels]


def to_float32(values: Tensor) -> np.ndarray:
    """Convert to NumPy, which has no bfloat16: networks give that under autocast."""
    return values.float().cpu().numpy()


class Detector(Predictor):
    """Detection, instance segmentation and panoptic segmentation.

    Attributes:
        score_thr: Objects of lower scores are left out.
    """

    task = 'detection'
    scope = 'mmdet'
    score_thr = 0.3

    def choose_group(self, prepared: dict[str, Any]) -> None:
        """One group: mmdet pads images to one shape."""

    def read_sample(self, sample: Any) -> Detections:
        if 'pred_instances' not in sample:
            raise UserError('the model predicts no objects with boxes')
        objects = sample.pred_instances.cpu()
        # A diverged network predicts boxes that are not finite.
        objects = objects[(objects.scores >= self.score_thr) & torch.isfinite(objects.bboxes).all(1)]
        # Mask2Former's objects are not sorted.
        objects = objects[objects.scores.argsort(descending=True, stable=True)]
        labels = objects.labels.numpy().astype(np.int64)
        found = Detections(
            boxes=to_float32(objects.bboxes),
            scores=to_float32(objects.scores),
            labels=labels,
            class_names=self.get_names(labels),
            masks=objects.masks.numpy().astype(bool) if 'masks' in objects else None,
        )
        return self.add_segments(found, sample.pred_panoptic_seg) if 'pred_panoptic_seg' in sample else found

    def add_segments(self, found: Detections, segments: Any) -> Panoptic:
        """Add the segments of mmdet's map, whose pixels are class + 1000 x instance."""
        from mmdet.evaluation.functional import INSTANCE_OFFSET

        ids = segments.sem_seg[0].cpu().numpy()
        numbers, places, areas = np.unique(ids, return_inverse=True, return_counts=True)
        labels = numbers % INSTANCE_OFFSET
        # Pixels without a segment have the number of classes, or 0 after mmdet's metric.
        are_segments = (labels < len(self.classes)) & (numbers > 0)
        labels = labels[are_segments].astype(np.int64)
        return Panoptic(
            **vars(found),
            segment_map=np.where(are_segments, are_segments.cumsum(), 0)[places].reshape(ids.shape).astype(np.int32),
            segment_labels=labels,
            segment_names=self.get_names(labels),
            segment_areas=areas[are_segments].astype(np.int64),
        )


class Segmentor(Predictor):
    """Semantic segmentation."""

    task = 'segmentation'
    scope = 'mmseg'

    def read_sample(self, sample: Any) -> Segmentation:
        if 'pred_sem_seg' not in sample:
            raise UserError('the model predicts no classes of pixels')
        return self.make_segmentation(sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int32))

    def make_segmentation(self, label_map: np.ndarray) -> Segmentation:
        """Count the classes of a label map (height, width)."""
        labels, areas = np.unique(label_map, return_counts=True)
        order = np.argsort(-areas, kind='stable')
        labels, areas = labels[order].astype(np.int64), areas[order].astype(np.int64)
        return Segmentation(label_map, labels, self.get_names(labels), areas)


class Classifier(Predictor):
    """Classification."""

    task = 'classification'
    scope = 'mmpretrain'

    def read_sample(self, sample: Any) -> Classification:
        if 'pred_score' not in sample:
            raise UserError('the model predicts no scores of classes')
        scores = to_float32(sample.pred_score)
        if not np.isfinite(scores).all():
            raise UserError("the network's scores are not finite")
        label = int(scores.argmax())
        return Classification(label, self.get_names([label])[0], float(scores[label]), scores)
