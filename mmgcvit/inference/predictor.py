"""Predict images with trained models (a base class, and a subclass for each task), large ones in
overlapping tiles.
"""

import math
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, cast, overload

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray
from torch import Tensor

from ..config import find_max_objects, iter_dicts
from ..datasets.decoding import DecodingSettings
from ..datasets.records import make_coco_categories
from ..errors import Supervision, UserError, get_first_line
from ..models.layers.arguments import make_pair
from ..rle import RLE, find_rle_boxes
from ..tasks import CLASSIFICATION, DETECTION, SEGMENTATION
from ..thresholds import ScoreThr, ScoreThresholds
from ..tile_sizes import MIN_TILE, OVERLAP, explain_small_tiles
from .blending import segment_in_tiles
from .drawing import Colour, draw_prediction
from .inputs import ImageLike, convert_to_array
from .results import (
    Classification,
    Detections,
    Masks,
    Outcome,
    P,
    Prediction,
    Record,
    Segmentation,
    make_segmentation,
)

if TYPE_CHECKING:
    import supervision

sv = Supervision('predicting with tiles')

# Pictures are enlarged until their shorter side has the first length in pixels, or their longer
# side the second.
MIN_DRAWN_SIDE = 224
MAX_ENLARGED_SIDE = 4096
# IoS threshold of the NMS (by class). IoS = intersection of two objects / area of the smaller one.
# Masks are compared, or boxes if there are no masks.
NMS_IOS_THR = 0.5
# An object counts as cut if its distance to an edge of its tile, but not to the border of the
# image, is at most MARGIN times the tile's side. A cut object is dropped if the box of a complete
# object covers at least the share MAX_COVERED of its box. Their classes may differ, since a part of
# an object may look like another class.
MARGIN = 1 / 64
MAX_COVERED = 0.7
MAX_MASK_BYTES = 1 << 30
# mmdet's heads of which mmdet_fixes has a subclass that predicts masks in less memory
LARGE_MASK_HEADS = ('FCNMaskHead', 'RTMDetInsHead', 'RTMDetInsSepBNHead', 'MaskFormerFusionHead')
# Parts of the errors of torch and NumPy when memory runs out
OUT_OF_MEMORY = re.compile("out of memory|can't allocate memory|Unable to allocate", re.IGNORECASE)


@dataclass(eq=False)
class Predictor(ABC, Generic[P]):
    """A trained model, as returned by :func:`mmgcvit.load`. Each task has a subclass.

    Threads may share it, since calls do not change it. ``P`` is the type of its predictions.
    """

    task: ClassVar[str]  # 'detection', 'segmentation' or 'classification'
    # Whether it finds objects, which have confidence thresholds, can be filtered by class and
    # measured
    finds_objects: ClassVar[bool] = False
    can_tile: ClassVar[bool] = True  # whether it can predict large images in tiles

    network: BaseModel  # built by OpenMMLab's registry
    # The config's test pipeline without the transforms that load images and annotations
    pipeline: Compose
    decoding: DecodingSettings  # how the config's test pipeline decodes image files
    classes: list[str]
    palette: list[Colour]  # RGB, for each class
    config: Path | None = None  # None if the model was not loaded from a config
    checkpoint: str | None = None  # the file or URL of the weights
    image_side: int | None = None  # longer side of the images that ``train --data`` has trained on
    object_side: int | None = None  # longer side of its objects: nine of ten have it at most
    # Side in pixels of the tiles in which larger images are predicted; not of classifiers
    tiles: int | None = None
    tiles_per_batch: int = 4
    # A detector drops detections with a lower score
    score_thr: float = 0.3
    # The thresholds of classes that have another one than ``score_thr``, by name
    class_score_thr: Mapping[str, float] = field(default_factory=dict)
    # If the masks of an image would need more bytes as an array, a detector returns a CompactMask.
    max_mask_bytes: int = MAX_MASK_BYTES

    @classmethod
    def adapt_config(cls, model_cfg: ConfigDict) -> None:
        """Change a copy of the config of a model before it is built for prediction."""

    @abstractmethod
    def read_sample(self, sample: BaseDataElement) -> P:
        """Convert the data sample that the network returns for one image to a prediction."""

    def predict_in_tiles(self, image: NDArray[np.uint8], side: int) -> P:
        """Predict a large image (height, width, 3) in BGR order in tiles of ``side`` pixels.

        Raise a UserError for a model that predicts whole images.
        """
        raise self.make_error_of_tiles()

    def __repr__(self) -> str:
        device = 'the CPU'
        if self.device.type == 'cuda':
            device = f'{torch.cuda.get_device_name(self.device)} ({self.device})'
        classes = '1 class' if len(self.classes) == 1 else f'{len(self.classes)} classes'
        return f'{self.task}, {classes}, on {device}: {self.checkpoint}'

    @property
    def device(self) -> torch.device:
        """Device of the network's parameters."""
        return next(self.network.parameters()).device

    @property
    def limit(self) -> float:
        """The highest number of detections in an image or a tile; infinite for other models than
        detectors.
        """
        return math.inf

    @property
    def thresholds(self) -> ScoreThresholds:
        """The confidence thresholds of a detector: ``score_thr`` and ``class_score_thr``."""
        return ScoreThresholds(self.score_thr, self.class_score_thr)

    @property
    def score_thr_by_class(self) -> dict[str, float]:
        """The confidence threshold of each class of a detector."""
        return self.thresholds.list_by_class(self.classes)

    @property
    def scale(self) -> tuple[int, int] | None:
        """The longer and the shorter side to which the pipeline resizes images, in pixels.

        None if it does not resize them.
        """
        for step in self.pipeline.transforms:
            if getattr(step, 'scale', None):
                first, second = make_pair(step.scale)
                return max(first, second), min(first, second)
        return None

    # A str is a sequence of str too, but one image.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, images: ImageLike, batch_size: int = 1, tiles: int | None = None
    ) -> P: ...

    @overload
    def __call__(
        self, images: Sequence[ImageLike], batch_size: int = 1, tiles: int | None = None
    ) -> list[P]: ...

    def __call__(
        self,
        images: ImageLike | Sequence[ImageLike],
        batch_size: int = 1,
        tiles: int | None = None,
    ) -> P | list[P]:
        """Predict one or several images.

        Args:
            images: An image, or several in a list or tuple (see :func:`.inputs.convert_to_array`).
            batch_size: Number of images (or tiles) in a batch.
            tiles: Side in pixels of overlapping tiles to predict. Default: as in the training.

        Returns:
            :class:`Detections`, :class:`Segmentation` or :class:`Classification`. For a list or
            tuple, a list of them.

        Raises:
            UserError: An image cannot be read or predicted, or an argument is invalid.
        """
        if not isinstance(images, list | tuple):
            return self([cast(ImageLike, images)], batch_size, tiles)[0]
        if batch_size < 1:
            raise UserError(f'batch_size={batch_size}: expected at least 1')
        model = self if tiles is None else self.with_tiles(tiles, batch_size)
        predictions = []
        for begin in range(0, len(images), batch_size):
            batch = images[begin : begin + batch_size]
            arrays = [convert_to_array(image, self.decoding) for image in batch]
            for index, outcome in enumerate(model.predict_batch(arrays), start=begin):
                is_path = isinstance(images[index], str | os.PathLike)
                predictions.append(outcome.get(images[index] if is_path else f'image {index}'))
        return predictions

    def with_tiles(self, side: int, batch_size: int) -> 'Predictor[P]':
        """Return this model with other tiles. Raise a UserError for a model of whole images, and
        for a small side.
        """
        if not self.can_tile:
            raise self.make_error_of_tiles()
        if side and not side >= MIN_TILE:
            raise UserError(f'tiles={side}: expected at least {MIN_TILE} px')
        return replace(self, tiles=side, tiles_per_batch=batch_size)

    def with_score_thr(self, score_thr: ScoreThr) -> 'Predictor[P]':
        """Return this detector with another confidence threshold for all classes, or with others
        for the classes that a mapping names.

        Raise a UserError for another model, a class that it does not have, or a threshold that is
        not a number from 0 to 1.
        """
        raise self.make_error_of_detectors_option('score_thr')

    def make_error_of_tiles(self) -> UserError:
        """Make the error for ``tiles`` of a model that predicts whole images."""
        return UserError(
            f'a {self.task} model predicts whole images. Remove --tiles (in Python: tiles=...)'
        )

    @classmethod
    def make_error_of_detectors_option(cls, name: str) -> UserError:
        """Make the error for an option that only models which find objects have."""
        return UserError(
            f'{name} is only for detectors, and this is a {cls.task} model. Remove {name}'
        )

    def describe_settings(self) -> list[str]:
        """Return lines about the settings with which the model predicts."""
        return []

    def format_count(self, count: int, total: int) -> str:
        """Return how many of the counted things (:attr:`.Task.counted`) are of a class."""
        return f'{count:,} ×'

    def list_categories(self) -> list[Record]:
        """Return the id and the name of each class, as they are written to JSON files."""
        return [{'id': label, 'name': name} for label, name in enumerate(self.classes)]

    def draw(
        self, image: ImageLike, prediction: Prediction | None = None, with_labels: bool = True
    ) -> NDArray[np.uint8]:
        """Draw a prediction on a copy of an image. If ``prediction`` is None, predict the image
        first. Without ``with_labels``, leave out class names and scores.

        Return a picture (height, width, 3) uint8 in BGR order. If its shorter side were less than
        224 px, it is enlarged to 224 px, so that text fits, unless the longer side would exceed
        4096 px. Raise a UserError for a prediction of another image size or model, and for other
        objects.
        """
        pixels = convert_to_array(image, self.decoding)
        if prediction is None:
            prediction = self(pixels)
        check_drawable(prediction, pixels, len(self.palette))
        shorter, longer = sorted(pixels.shape[:2])
        scale = max(1.0, min(MIN_DRAWN_SIDE / shorter, MAX_ENLARGED_SIDE / longer))
        return draw_prediction(
            pixels, prediction, self.palette, scale=scale, with_labels=with_labels
        )

    def predict_batch(self, images: Sequence[NDArray[np.uint8]]) -> list[Outcome[P]]:
        """Predict images (height, width, 3) in BGR order.

        An image that fails does not stop the others.
        """
        try:
            return [Outcome(prediction) for prediction in self.predict_together(images)]
        except UserError as error:
            if len(images) == 1:
                return [Outcome(error=error)]
        return [outcome for image in images for outcome in self.predict_batch([image])]

    def predict_together(self, images: Sequence[NDArray[np.uint8]]) -> list[P]:
        """Predict images whose inputs have one shape, or a single image in tiles if it is large.

        Raise a UserError for others: in a batch, they would be padded, which changes predictions.
        Raise one too if the test pipeline or the network fails.
        """
        if self.tiles and any(max(image.shape[:2]) > self.tiles for image in images):
            if len(images) > 1:
                raise UserError('images in tiles are predicted one by one')
            return [self.predict_in_tiles(images[0], self.tiles)]
        return [self.read_sample(sample) for sample in self.compute_samples(images)]

    def compute_samples(self, images: Sequence[NDArray[np.uint8]]) -> Sequence[BaseDataElement]:
        """Return the data samples that the network returns for images whose inputs have one shape.

        Raise a UserError for other images, and if the test pipeline or the network fails.
        """
        prepared = [self.prepare_image(image) for image in images]
        if len({sample['inputs'].shape for sample in prepared}) > 1:
            raise UserError('the inputs have different shapes')
        with torch.no_grad():
            batch = pseudo_collate(prepared)
            try:
                # test_step calls the data_preprocessor. It returns boxes and masks in pixels of
                # the original image.
                return self.network.test_step(batch)
            # Networks raise errors of any type for sizes that they do not support, and if memory
            # runs out.
            except Exception as error:
                raise make_failure(images[0], error) from error

    def prepare_image(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        """Apply the test pipeline to an image (height, width, 3) in BGR order.

        Raise a UserError if it fails.
        """
        size = image.shape[:2]
        sample = {
            'img': image,
            'img_id': 0,
            'img_path': None,
            'img_shape': size,
            'ori_shape': size,
            'scale_factor': (1.0, 1.0),  # until the pipeline resizes the image
        }
        try:
            return self.pipeline(sample)
        except Exception as error:  # transforms raise errors of any type
            raise make_failure(image, error) from error

    def to_coco(self, prediction: Prediction, image_id: int = 1) -> list[Record]:
        """Convert a prediction of this model to records in COCO's results format, as in
        ``predictions.json``.
        """
        records = prediction.make_records(self.list_categories())
        return [{'image_id': image_id, **record} for record in records]


def check_drawable(prediction: object, image: NDArray[np.uint8], num_classes: int) -> None:
    """Raise a UserError unless an object is a prediction for an image (height, width, 3), of a
    model with so many classes or fewer.
    """
    if not isinstance(prediction, Prediction):
        raise UserError(
            f'cannot draw {type(prediction).__name__}. Expected what the model returns for this '
            'image: Detections, Segmentation or Classification'
        )
    if prediction.max_label >= num_classes:
        raise UserError(
            f'cannot draw a prediction of class {prediction.max_label}: the model has '
            f'{num_classes} classes, counted from 0. Draw it with the model that predicted it'
        )
    size = image.shape[:2]
    if prediction.size is not None and tuple(prediction.size) != size:
        raise UserError(
            f'cannot draw a prediction for an image of (height, width) {tuple(prediction.size)} on '
            f'one of {size}. Pass the image that was predicted'
        )


def make_failure(image: NDArray[np.uint8], error: Exception) -> UserError:
    """Make the error of an image (height, width, 3) on which other packages raise ``error``."""
    reason = get_first_line(error)
    advice = ''
    if isinstance(error, MemoryError) or OUT_OF_MEMORY.search(reason):
        advice = '. Predict it in tiles: --tiles SIDE (in Python: tiles=SIDE)'
    return UserError(
        'the test pipeline or the network fails on the image whose height and width are '
        f'{image.shape[:2]} ({reason}){advice}'
    )


class Detector(Predictor[Detections]):
    """Predictor for detection and instance segmentation."""

    task = DETECTION.name
    finds_objects = True

    @classmethod
    def adapt_config(cls, model_cfg: ConfigDict) -> None:
        """Replace mmdet's mask heads by this package's, which make no masks of objects under the
        confidence threshold, and none at the size of a large image. The masks are equal.
        """
        from .. import mmdet_fixes  # noqa: F401  # it registers the heads

        for settings in iter_dicts([model_cfg]):
            if settings.get('type') in LARGE_MASK_HEADS:
                settings['type'] = f'mmgcvit.{settings["type"]}'

    @property
    def limit(self) -> float:
        return find_max_objects(self.network)

    @property
    def lowest_thr(self) -> float:
        """The lowest confidence threshold of a class."""
        return min([self.score_thr, *self.class_score_thr.values()])

    def prepare_image(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        prepared = super().prepare_image(image)
        # The mask heads in mmdet_fixes make masks by them; other heads ignore them.
        settings = {'score_thr': self.lowest_thr, 'max_mask_bytes': self.max_mask_bytes}
        prepared['data_samples'].set_metainfo(settings)
        return prepared

    def describe_settings(self) -> list[str]:
        lines = [f'confidence threshold: {self.thresholds}, tiles: {self.tiles or "none"}']
        small_tiles = explain_small_tiles(self.tiles, self.object_side)
        if small_tiles:
            lines.append(f'in training, {small_tiles}')
        return lines

    def list_categories(self) -> list[Record]:
        """Return the id and the name of each class. Ids are COCO's or start at 1."""
        return [{**category} for category in make_coco_categories(self.classes)]

    def with_score_thr(self, score_thr: ScoreThr) -> 'Detector':
        thresholds = self.thresholds.override(score_thr)
        thresholds.check(self.classes)
        return replace(self, score_thr=thresholds.overall, class_score_thr=thresholds.by_class)

    def get_score_thr(self, labels: torch.Tensor) -> torch.Tensor | float:
        """Return the confidence threshold of each of ``labels``, (n,) float32, or the one of all
        classes.
        """
        if not self.class_score_thr:
            return self.score_thr
        return torch.tensor(list(self.score_thr_by_class.values()))[labels]

    def read_sample(self, sample: BaseDataElement) -> Detections:
        objects = sample.pred_instances.cpu()
        # A diverged network predicts NaN or infinite boxes.
        is_finite = torch.isfinite(objects.bboxes).all(1)
        is_kept = is_finite & (objects.scores >= self.get_score_thr(objects.labels))
        kept = torch.nonzero(is_kept).flatten()
        scores = objects.scores  # of all candidates, before those under a threshold are dropped
        # Sort, since Mask2Former returns its objects unsorted.
        order = kept[objects.scores[kept].argsort(descending=True, stable=True)]
        # Indexing copies masks, which may be large.
        if not torch.equal(order, torch.arange(len(objects))):
            objects = objects[order]
        # NumPy has no bfloat16.
        boxes = objects.bboxes.float().numpy()
        return Detections(
            boxes=boxes,
            scores=objects.scores.float().numpy(),
            labels=objects.labels.numpy(),
            classes=self.classes,
            masks=convert_masks(objects.get('masks'), sample.ori_shape),
            is_limited=torch.count_nonzero(scores >= self.lowest_thr).item() >= self.limit,
        )

    def predict_in_tiles(self, image: NDArray[np.uint8], side: int) -> Detections:
        """Detect the objects of a large image.

        To save memory, keep masks as crops (``supervision.CompactMask``).
        """
        height, width = size = image.shape[:2]
        margin = MARGIN * side
        are_limited: list[bool] = []

        def detect(tiles: list[NDArray[np.uint8]]) -> 'list[supervision.Detections]':
            found = []
            for tile, outcome in zip(tiles, self.predict_batch(tiles), strict=True):
                prediction = outcome.get('a tile')
                are_limited.append(prediction.is_limited)
                objects = prediction.to_supervision()
                objects.data['near_edge'] = find_near_edges(objects.xyxy, tile.shape[:2], margin)
                found.append(objects)
            return found

        def detect_one(tile: NDArray[np.uint8]) -> 'supervision.Detections':
            return detect([tile])[0]

        slicer = sv.InferenceSlicer(
            detect if self.tiles_per_batch > 1 else detect_one,
            slice_wh=side,
            overlap_wh=int(OVERLAP * side),
            overlap_filter=sv.OverlapFilter.NONE,
            compact_masks=True,
            batch_size=self.tiles_per_batch,
        )
        objects: Any = drop_cut_objects(slicer(image), size, margin)
        objects = objects.with_nms(NMS_IOS_THR, overlap_metric=sv.OverlapMetric.IOS)
        objects = objects.select(np.argsort(-objects.confidence, kind='stable'))
        masks = objects.mask
        if masks is not None:
            masks = masks.repack()
        elif getattr(self.network, 'with_mask', False):
            masks = np.zeros((0, height, width), bool)  # supervision merges no masks to None
        return Detections(
            boxes=objects.xyxy.astype(np.float32),
            scores=objects.confidence,
            labels=objects.class_id,
            classes=self.classes,
            masks=masks,
            is_limited=any(are_limited),
        )


def convert_masks(masks: Tensor | list[RLE] | None, size: tuple[int, ...]) -> 'Masks | None':
    """Convert the masks of a network in an image of (height, width)."""
    if masks is None:
        return None
    if isinstance(masks, Tensor):
        return masks.numpy().astype(bool, copy=False)
    # Masks of Mask2Former and RTMDet-Ins may reach beyond their boxes.
    left, top, width, height = np.array(find_rle_boxes(masks), np.int64).reshape(-1, 4).T
    # A box is inclusive for supervision. That of an empty mask has a pixel.
    right = left + np.maximum(width, 1) - 1
    bottom = top + np.maximum(height, 1) - 1
    crops = np.stack([left, top, right, bottom], axis=1)
    return sv.CompactMask.from_coco_rle(masks, crops, size[:2])


class Segmentor(Predictor[Segmentation]):
    """Predictor for semantic segmentation."""

    task = SEGMENTATION.name

    def format_count(self, count: int, total: int) -> str:
        """Return the share of the pixels that are of a class."""
        return f'{count / total:.1%}'

    def describe_settings(self) -> list[str]:
        return [f'tiles: {self.tiles or "none"}']

    def read_sample(self, sample: BaseDataElement) -> Segmentation:
        label_map = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int32)
        return make_segmentation(label_map, self.classes)

    def predict_in_tiles(self, image: NDArray[np.uint8], side: int) -> Segmentation:
        """Segment a large image by the blended logits of its tiles."""
        label_map = segment_in_tiles(
            image,
            side=side,
            tiles_per_batch=self.tiles_per_batch,
            compute_logits=self.compute_logits,
            choose_classes=self.choose_classes,
        )
        return make_segmentation(label_map, self.classes)

    def compute_logits(self, tiles: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        """Return the logits (C, height, width) float32 of each of several tiles of one size.

        Of a network with one output channel, they are probabilities.
        """
        try:
            samples = self.compute_samples(tiles)
        except UserError:
            if len(tiles) == 1:
                raise
            # The memory may be enough for one tile at a time.
            samples = [self.compute_samples([tile])[0] for tile in tiles]
        return [sample.seg_logits.data.float() for sample in samples]

    def choose_classes(self, logits: Tensor) -> Tensor:
        """Return the class (height, width) of each pixel, as mmseg's ``postprocess_result`` does."""
        if len(logits) == 1:
            return logits[0] > self.network.decode_head.threshold
        return logits.argmax(0)


class Classifier(Predictor[Classification]):
    """Predictor for image classification."""

    task = CLASSIFICATION.name
    can_tile = False

    def read_sample(self, sample: BaseDataElement) -> Classification:
        scores = sample.pred_score.float().cpu().numpy()
        if not np.isfinite(scores).all():  # JSON has no NaN
            raise UserError('its scores are NaN or infinite. Use an earlier checkpoint')
        label = int(scores.argmax())
        return Classification(
            label=label,
            class_name=self.classes[label],
            score=float(scores[label]),
            scores=scores,
        )


def drop_cut_objects(
    objects: 'supervision.Detections', size: tuple[int, ...], margin: float
) -> 'supervision.Detections':
    """Drop the objects that one tile cuts and another shows completely.

    ``size`` is the image's (height, width).
    """
    from mmdet.structures.bbox import bbox_overlaps

    if not len(objects):
        return objects
    at_border = find_near_edges(objects.xyxy, size, margin)
    near_tile_edge = np.asarray(objects.data['near_edge'], bool)
    is_cut = np.asarray((near_tile_edge & ~at_border).any(1))
    boxes = torch.from_numpy(objects.xyxy)
    # The intersection of each cut and each complete box / the area of the cut one
    covered = bbox_overlaps(boxes[is_cut], boxes[~is_cut], mode='iof').numpy()
    is_kept = ~is_cut
    is_kept[is_cut] = covered.max(1, initial=0) < MAX_COVERED
    return objects.select(np.flatnonzero(is_kept))


def find_near_edges(boxes: NDArray[Any], size: tuple[int, ...], margin: float) -> NDArray[np.bool_]:
    """Return (n, 4) bool: whether each box is near the [left, top, right, bottom] edge of an image
    (height, width).
    """
    return np.hstack([boxes[:, :2] <= margin, boxes[:, 2:] >= np.subtract(size[::-1], margin)])
