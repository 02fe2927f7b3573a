"""A trained model that is called on images: what the three tasks share, then what each has of its own."""

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
from .drawing import Colour, drawn
from .images import ImageLike, as_array
from .results import Classification, Detections, Panoptic, Prediction, Segmentation
from .tiles import whole_or_in_tiles

# Words do not fit into smaller pictures of a class, which are enlarged, thin ones so far.
SHORTEST_DRAWN, LONGEST_ENLARGED = 224, 2240


@dataclass(eq=False, repr=False)
class Predictor(ABC):
    """A trained model; :func:`mmgcvit.load` makes one. Threads may share it: a call keeps and sets nothing.

    Attributes:
        task: ``'detection'``, ``'segmentation'`` or ``'classification'``.
        classes: The names of its classes, by their numbers; of Grounding DINO what it looks for, which may be set.
        palette: Their colours, red, green, blue.
        network: The host's network.
        pipeline: What the config's tests do to an image between loading it and the network.
        loader: How the config's data set decodes files.
    """

    # Of each kind: the scope by which a config says that it is meant.
    task: ClassVar[str]
    scope: ClassVar[str]

    network: nn.Module
    pipeline: Compose
    loader: Loader
    classes: list[str]
    palette: list[Colour]
    # Of the images that the pipeline takes.
    dtype: type = np.uint8

    @abstractmethod
    def prediction_of(self, sample: Any) -> Prediction:
        """A host's prediction for one image, in plain values."""

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.network.parameters()).device

    def __call__(
        self, images: ImageLike | Sequence[ImageLike], batch_size: int = 1, tiles: int | None = None
    ) -> Prediction | list[Prediction]:
        """Predict.

        Args:
            images: An image, or several in a list or tuple. An image is a path; an array of shape (height, width, 3),
                in the order **blue, green, red**, as ``cv2.imread`` gives it; or an image of Pillow's.
            batch_size: So many images at a time, or tiles.
            tiles: Of larger images overlapping squares of so many pixels a side are predicted, as images of their own.

        Returns:
            :class:`Detections`, :class:`Segmentation` or :class:`Classification`; of several images a list of them.

        Raises:
            UserError: An image cannot be read, or the network cannot take it; says which.
        """
        if not isinstance(images, (list, tuple)):
            return self([images], batch_size, tiles)[0]
        if batch_size < 1:
            raise UserError(f'batch_size={batch_size}: expected at least 1')
        model, batch_size = whole_or_in_tiles(self, tiles, batch_size)
        found = []
        for begin in range(0, len(images), batch_size):
            batch = [as_array(image, self.loader) for image in images[begin : begin + batch_size]]
            for number, outcome in enumerate(model.outcomes(batch), start=begin):
                if isinstance(outcome, UserError):
                    what = images[number] if isinstance(images[number], str) else f'image {number}'
                    raise UserError(f'{what}: {outcome}')
                found.append(outcome)
        return found

    def draw(self, image: ImageLike, prediction: Prediction | None = None) -> np.ndarray:
        """Draw what is predicted for an image into a copy of it; several threads may.

        Args:
            image: As for a call.
            prediction: What a call has returned for it, or a part of that; None to have it predicted.

        Returns:
            (height, width, 3) uint8, blue, green, red, as ``cv2.imwrite`` takes it. Pictures of classes that are
            smaller than 224 px are enlarged, so that words fit in.
        """
        image = as_array(image, self.loader)
        if prediction is None:
            prediction = self(image)
        shorter, longer = sorted(image.shape[:2])
        enlarged = max(1.0, min(SHORTEST_DRAWN / shorter, LONGEST_ENLARGED / longer))
        return drawn(image, prediction, self.palette, enlarged if isinstance(prediction, Classification) else 1.0)

    def outcomes(self, images: Sequence[np.ndarray]) -> list[Prediction | UserError]:
        """Predict for a batch of (height, width, 3), blue, green, red; what cannot be predicted has an error there."""
        outcomes: list[Any] = [None] * len(images)
        groups = defaultdict(list)
        for number, image in enumerate(images):
            try:
                packed = self.packed(image)
            except UserError as error:
                outcomes[number] = error
            else:
                groups[self.group_of(packed)].append((number, packed))
        for group in groups.values():
            numbers, batch = zip(*group, strict=True)
            for number, outcome in zip(numbers, self.outcomes_of(batch), strict=True):
                outcomes[number] = outcome
        return outcomes

    def packed(self, image: np.ndarray) -> dict[str, Any]:
        """An image (height, width, 3), blue, green, red, after the test pipeline; a UserError where that fails."""
        height, width = size = image.shape[:2]
        image = image.astype(self.dtype, copy=False)
        loaded = {'img': image, 'img_id': 0, 'img_path': None, 'img_shape': size, 'ori_shape': size}
        # For what finds the classes by their names, as Grounding DINO.
        loaded.update(text=tuple(self.classes), custom_entities=True)
        try:
            return self.pipeline(loaded)
        # Steps of a pipeline raise errors of any class.
        except Exception as error:
            reason = f'the test pipeline cannot prepare it ({first_line(error)})'
            if isinstance(error, cv2.error) and error.func == 'resize':
                reason = f'{width} x {height} pixels are too thin: resized, a side is shorter than one; crop the image'
            raise UserError(reason) from None

    def group_of(self, packed: dict[str, Any]) -> Any:
        """Images of one group go into one batch: those of one shape, as mmseg and mmpretrain ask for."""
        return tuple(packed['inputs'].shape)

    def outcomes_of(self, batch: Sequence[dict[str, Any]]) -> list[Prediction | UserError]:
        """Predict for prepared images of one group; where that fails, for each alone."""
        try:
            with torch.no_grad():
                # The host's: its data_preprocessor normalises, then backbone, neck and heads; boxes and masks come back
                # in the pixels of the image as it was loaded.
                samples = self.network.test_step(pseudo_collate(batch))
            return [self.prediction_of(sample) for sample in samples]
        except UserError as error:
            reason = str(error)
        # What networks raise: of sizes that they refuse (ValueError), of memory and kernels (RuntimeError).
        except (ValueError, RuntimeError) as error:
            reason = f'the network cannot take it ({first_line(error)})'
        if len(batch) > 1:
            return [outcome for packed in batch for outcome in self.outcomes_of([packed])]
        return [UserError(reason)]

    def names(self, labels: Sequence[int]) -> list[str]:
        """The names of classes by their numbers."""
        return [self.classes[label] if label < len(self.classes) else f'class {label}' for label in labels]


def as_float32(values: Tensor) -> np.ndarray:
    """Numbers for NumPy, which knows no bfloat16: under autocast networks give that."""
    return values.float().cpu().numpy()


class Detector(Predictor):
    """Detection, instance segmentation and panoptic segmentation.

    Attributes:
        score_thr: Objects of lower scores are left out.
    """

    task = 'detection'
    scope = 'mmdet'
    score_thr = 0.3

    def group_of(self, packed: dict[str, Any]) -> None:
        """One group: mmdet pads images of other shapes."""

    def prediction_of(self, sample: Any) -> Detections:
        if 'pred_instances' not in sample:
            raise UserError('the model predicts no objects with boxes')
        objects = sample.pred_instances.cpu()
        # A network that has burst finds boxes without numbers.
        objects = objects[(objects.scores >= self.score_thr) & torch.isfinite(objects.bboxes).all(1)]
        # Those of Mask2Former have no order.
        objects = objects[objects.scores.argsort(descending=True, stable=True)]
        labels = objects.labels.numpy().astype(np.int64)
        found = Detections(
            boxes=as_float32(objects.bboxes),
            scores=as_float32(objects.scores),
            labels=labels,
            class_names=self.names(labels),
            masks=objects.masks.numpy().astype(bool) if 'masks' in objects else None,
        )
        return self.with_segments(found, sample.pred_panoptic_seg) if 'pred_panoptic_seg' in sample else found

    def with_segments(self, found: Detections, host_map: Any) -> Panoptic:
        """With the segments of a host's map: of each pixel its class, and 1000 times the number of a thing."""
        from mmdet.evaluation.functional import INSTANCE_OFFSET

        ids = host_map.sem_seg[0].cpu().numpy()
        numbers, places, areas = np.unique(ids, return_inverse=True, return_counts=True)
        labels = numbers % INSTANCE_OFFSET
        # Of no class are pixels of no segment, until mmdet's metric has written 0 for them, which is no thing's.
        are_segments = (labels < len(self.classes)) & (numbers > 0)
        labels = labels[are_segments].astype(np.int64)
        return Panoptic(
            **vars(found),
            segment_map=np.where(are_segments, are_segments.cumsum(), 0)[places].reshape(ids.shape).astype(np.int32),
            segment_labels=labels,
            segment_names=self.names(labels),
            segment_areas=areas[are_segments].astype(np.int64),
        )


class Segmentor(Predictor):
    """Semantic segmentation."""

    task = 'segmentation'
    scope = 'mmseg'

    def prediction_of(self, sample: Any) -> Segmentation:
        if 'pred_sem_seg' not in sample:
            raise UserError('the model predicts no classes of pixels')
        return self.segments_of(sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int32))

    def segments_of(self, label_map: np.ndarray) -> Segmentation:
        """The classes that occur in a map (height, width), the largest first."""
        labels, areas = np.unique(label_map, return_counts=True)
        order = np.argsort(-areas, kind='stable')
        labels, areas = labels[order].astype(np.int64), areas[order].astype(np.int64)
        return Segmentation(label_map, labels, self.names(labels), areas)


class Classifier(Predictor):
    """Classification."""

    task = 'classification'
    scope = 'mmpretrain'

    def prediction_of(self, sample: Any) -> Classification:
        if 'pred_score' not in sample:
            raise UserError('the model predicts no scores of classes')
        scores = as_float32(sample.pred_score)
        if not np.isfinite(scores).all():
            raise UserError("the network's scores are not finite")
        label = int(scores.argmax())
        return Classification(label, self.names([label])[0], float(scores[label]), scores)
