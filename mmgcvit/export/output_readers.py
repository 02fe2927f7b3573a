"""Read predictions from the outputs of an ONNX file."""

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ..predict.tile_sizes import OVERLAP, place_tiles
from .masks import (
    Arrays,
    MaskCollector,
    Shape,
    collect_masks,
    find_box,
    paste_masks,
    resize_logits,
    resize_masks,
)


# Predictions are plain here. Those of predict/results.py also count, filter and write records, and
# would bring their modules into the file that one_file.py writes.
@dataclass(frozen=True)
class Detections:
    """The objects in an image, the highest-scoring first."""

    boxes: NDArray[np.float32]  # (n, 4) float32: [x1, y1, x2, y2] in pixels of the image
    scores: NDArray[np.float32]  # (n,) float32, from 0 to 1
    labels: NDArray[np.int64]  # (n,) int64, class indices
    class_names: list[str]
    # (n, height, width) bool; None if the model predicts boxes only. From tiles, and if an array
    # would need over a gigabyte, supervision's CompactMask, which decodes masks[i] on access
    masks: Any = None

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True)
class Segmentation:
    """The class of each pixel of an image."""

    label_map: NDArray[np.int32]  # (height, width) int32, class indices
    labels: NDArray[np.int64]  # (n,) int64, the classes that occur, by descending area
    class_names: list[str]
    areas: NDArray[np.int64]  # (n,) int64, the number of pixels of each of these classes


@dataclass(frozen=True)
class Classification:
    """The class of an image: its index, name and score, and the scores of all classes, (classes,)
    float32.
    """

    label: int
    class_name: str
    score: float
    scores: NDArray[np.float32]


Prediction = Detections | Segmentation | Classification
# Return the outputs of the file for an image, and the (height, width) to which it was resized.
Run = Callable[[NDArray[np.uint8]], tuple[Arrays, Shape]]


@dataclass(frozen=True)
class OutputReader(ABC):
    """Turns the outputs of a file into a prediction. Each task has a subclass."""

    metadata: Mapping[str, str]  # of the file
    classes: list[str]
    thresholds: NDArray[np.float32]  # of detectors, of each class (classes,)

    can_tile: ClassVar[bool] = False  # whether large images are predicted in tiles

    @abstractmethod
    def read(self, outputs: Arrays, img_shape: Shape, ori_shape: Shape) -> Prediction:
        """Return the prediction of an image of ``ori_shape``, which was resized to ``img_shape``,
        both (height, width).
        """

    def predict_in_tiles(self, run: Run, image: NDArray[np.uint8], side: int) -> Prediction:
        """Predict an image (height, width, 3) in tiles, each with ``run``.

        It is called only if ``can_tile``.
        """
        raise NotImplementedError


class ScoreReader(OutputReader):
    """Reads the scores of a classifier."""

    def read(self, outputs: Arrays, img_shape: Shape, ori_shape: Shape) -> Classification:
        (scores,) = outputs['scores']
        label = int(scores.argmax())
        return Classification(label, self.classes[label], float(scores[label]), scores)


class MapReader(OutputReader):
    """Reads the logits of a segmentor."""

    can_tile = True

    def read(self, outputs: Arrays, img_shape: Shape, ori_shape: Shape) -> Segmentation:
        """Resize the logits to the image. The class of a pixel has the highest one."""
        return self.make_segmentation(resize_channels(outputs['logits'], ori_shape).argmax(0))

    def predict_in_tiles(self, run: Run, image: NDArray[np.uint8], side: int) -> Segmentation:
        """Segment a large image by the logits of its tiles, whose weights fall smoothly towards
        their edges.

        Memory is needed for the logits of one row of tiles.
        """
        height, width = image.shape[:2]
        columns = weigh_tiles(width, side)
        rows = weigh_tiles(height, side)
        ends = [*(top for top, _ in rows[1:]), height]
        label_map = np.empty((height, width), np.int32)
        # The sums of the weighted logits in the image's rows from that of the tiles on
        band = np.zeros((len(self.classes), min(height, side), width), np.float32)
        for (top, row_weights), end in zip(rows, ends, strict=True):
            for left, column_weights in columns:
                tile = image[top : top + side, left : left + side]
                outputs, _ = run(tile)
                logits = resize_channels(outputs['logits'], get_shape(tile))
                weights = row_weights[:, None] * column_weights
                band[..., left : left + side] += logits * weights
            # No later tile reaches these rows.
            num_done = end - top
            label_map[top:end] = band[:, :num_done].argmax(0)
            for channel in band:  # one by one, as each is copied
                channel[:-num_done] = channel[num_done:].copy()
                channel[-num_done:] = 0
        return self.make_segmentation(label_map)

    def make_segmentation(self, label_map: NDArray[np.integer[Any]]) -> Segmentation:
        """Find the classes and areas of a segmentation map."""
        labels, areas = np.unique(label_map, return_counts=True)
        order = np.argsort(-areas, kind='stable')
        names = [self.classes[label] for label in labels[order]]
        return Segmentation(label_map.astype(np.int32), labels[order], names, areas[order])


class ObjectReader(OutputReader):
    """Reads the objects of a detector, whose masks are probabilities in their boxes. Each other
    ``mask_type`` has a subclass.
    """

    can_tile = True

    def is_kept(self, scores: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which objects score at least the threshold of their class, (n,)."""
        return scores >= self.thresholds[labels]

    def read(self, outputs: Arrays, img_shape: Shape, ori_shape: Shape) -> Detections:
        """Drop objects with low scores, and scale the rest to the image."""
        outputs = self.convert(outputs, img_shape, ori_shape)
        kept = self.is_kept(outputs['scores'], outputs['labels'])
        outputs = {name: values[kept] for name, values in outputs.items()}
        limit = json.loads(self.metadata.get('limit', 'Infinity'))
        if len(outputs['scores']) >= limit:
            warnings.warn(
                f'an image has as many detections as the model returns at most, {limit}. Add '
                'tiles=SIDE, or raise max_per_img in the test_cfg of its config and export it '
                'again',
                stacklevel=3,
            )
        boxes = self.scale_boxes(outputs['boxes'], img_shape, ori_shape)
        masks = outputs.get('masks')
        if masks is not None:
            masks = self.scale_masks(masks, boxes, img_shape, ori_shape)
        class_names = [self.classes[label] for label in outputs['labels']]
        return Detections(boxes, outputs['scores'], outputs['labels'], class_names, masks)

    def convert(self, outputs: Arrays, img_shape: Shape, ori_shape: Shape) -> Arrays:
        """Return the boxes, scores, labels and masks of objects from the outputs of a file."""
        return outputs

    def scale_boxes(
        self, boxes: NDArray[np.float32], img_shape: Shape, ori_shape: Shape
    ) -> NDArray[np.float32]:
        """Scale boxes (n, 4) of the input to the image."""
        y_scale, x_scale = np.divide(ori_shape, img_shape)
        return boxes * np.array([x_scale, y_scale, x_scale, y_scale], np.float32)

    def scale_masks(
        self, masks: Any, boxes: NDArray[np.float32], img_shape: Shape, ori_shape: Shape
    ) -> Any:
        """Return the masks (n, *ori_shape) bool of objects with boxes (n, 4) in the image, or a
        CompactMask (:func:`collect_masks`).
        """
        threshold = float(self.metadata['mask_thr_binary'])
        pasted = paste_masks(masks, boxes, threshold, ori_shape)
        return collect_masks(pasted, len(boxes), ori_shape)

    def predict_in_tiles(self, run: Run, image: NDArray[np.uint8], side: int) -> Detections:
        """Detect the objects of a large image, and merge the detections of the tiles.

        Objects that an edge of a tile cuts are not dropped before, as the package's detectors do,
        so counts may differ a little.
        """
        import supervision as sv

        def detect(tile: NDArray[np.uint8]) -> sv.Detections:
            found = self.read(*run(tile), get_shape(tile))
            return sv.Detections(found.boxes, found.masks, found.scores, found.labels)

        slicer = sv.InferenceSlicer(
            detect,
            slice_wh=side,
            overlap_wh=int(OVERLAP * side),
            overlap_metric=sv.OverlapMetric.IOS,
            compact_masks=True,
        )
        # supervision's types say None too, for what other detections lack.
        found: Any = slicer(image)
        found = found.select(np.argsort(-found.confidence, kind='stable'))
        names = [self.classes[label] for label in found.class_id]
        return Detections(found.xyxy, found.confidence, found.class_id, names, found.mask)


class ResizedMaskReader(ObjectReader):
    """Reads the objects of RTMDet-Ins, whose masks are logits of the whole input."""

    def scale_masks(
        self, masks: Any, boxes: NDArray[np.float32], img_shape: Shape, ori_shape: Shape
    ) -> Any:
        resized = resize_masks(
            logits=masks,
            stride=int(self.metadata['mask_stride']),
            mask_type=self.metadata['mask_type'],
            threshold=float(self.metadata['mask_thr_binary']),
            img_shape=img_shape,
            ori_shape=ori_shape,
        )
        return collect_masks(resized, len(boxes), ori_shape)


class QueryMaskReader(ObjectReader):
    """Reads the objects of Mask2Former, whose masks are logits of the whole input. Boxes and scores
    follow from the masks.
    """

    def convert(self, outputs: Arrays, img_shape: Shape, ori_shape: Shape) -> Arrays:
        """Compute boxes, scores and masks at the size of the image, and sort the objects by score.

        An object's score is that of its class times the mean probability in its mask.
        """
        # The score of a mask is at most 1.
        kept = self.is_kept(outputs['class_scores'], outputs['labels'])
        outputs = {name: values[kept] for name, values in outputs.items()}
        number = len(outputs['masks'])
        boxes = np.zeros((number, 4), np.float32)
        scores = np.zeros(number, np.float32)
        masks = MaskCollector(number, ori_shape)
        for index, logits in enumerate(outputs['masks']):
            resized = resize_logits(
                logits=logits,
                stride=int(self.metadata['mask_stride']),
                mask_type='crop',
                img_shape=img_shape,
                ori_shape=ori_shape,
            )
            mask = resized > 0
            # The exponentials of large negative logits would overflow, and are not needed.
            inside = resized[mask]
            mask_score = (1 / (1 + np.exp(-inside))).sum() / (len(inside) + 1e-6)
            boxes[index] = find_box(mask)
            scores[index] = outputs['class_scores'][index] * mask_score
            masks.add(mask)
        order = np.argsort(-scores, kind='stable')
        return {
            'boxes': boxes[order],
            'scores': scores[order],
            'labels': outputs['labels'][order],
            'masks': masks.join()[order],
        }

    def scale_boxes(
        self, boxes: NDArray[np.float32], img_shape: Shape, ori_shape: Shape
    ) -> NDArray[np.float32]:
        return boxes  # of masks at the size of the image

    def scale_masks(
        self, masks: Any, boxes: NDArray[np.float32], img_shape: Shape, ori_shape: Shape
    ) -> Any:
        return masks


READERS: Mapping[str | None, type[OutputReader]] = {
    'detection': ObjectReader,
    'segmentation': MapReader,
    'classification': ScoreReader,
}
# The readers of detectors by their mask_type
OBJECT_READERS: Mapping[str, type[ObjectReader]] = {
    'box': ObjectReader,
    'resize': ResizedMaskReader,
    'crop': QueryMaskReader,
}


def choose_reader(metadata: Mapping[str, str]) -> type[OutputReader] | None:
    """Return the reader of a file's outputs, or None for a task that is not known."""
    reader_type = READERS.get(metadata.get('task'))
    if reader_type is ObjectReader:
        return OBJECT_READERS[metadata.get('mask_type', 'box')]
    return reader_type


def get_shape(image: NDArray[np.uint8]) -> Shape:
    """Return the (height, width) of an image (height, width, 3)."""
    height, width, _ = image.shape
    return height, width


def resize_channels(logits: NDArray[np.float32], size: Shape) -> NDArray[np.float32]:
    """Resize the logits (1, classes, h, w) of an image to (classes, height, width)."""
    return np.stack([cv2.resize(channel, size[::-1]) for channel in logits[0]])


def weigh_tiles(length: int, side: int) -> list[tuple[int, NDArray[np.float32]]]:
    """Return where each tile begins along an axis, and the weights of its pixels there: those of
    :mod:`.blending`, which computes with torch.
    """
    starts = place_tiles(length, side)
    positions = (np.arange(min(length, side)) + 0.5) / side
    window = np.sin(np.pi * positions) ** 2
    total = np.zeros(length)
    for start in starts:
        total[start : start + side] += window
    return [(start, (window / total[start : start + side]).astype(np.float32)) for start in starts]
