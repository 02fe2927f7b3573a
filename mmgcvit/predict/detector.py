"""Predict objects: boxes, classes, scores and masks, in large images by overlapping tiles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray
from torch import Tensor

from ..datasets.coco_categories import make_coco_categories
from ..host.config import find_max_objects, iter_dicts
from ..host.tasks import DETECTION
from ..ops.requirements import check_installed
from ..ops.rle import MAX_MASK_BYTES, RLE, find_rle_boxes
from .predictor import Predictor
from .results import Detections, Masks, Record
from .thresholds import ScoreThr, ScoreThresholds
from .tile_sizes import OVERLAP

if TYPE_CHECKING:
    import supervision

# IoS threshold of the NMS (by class). IoS = intersection of two objects / area of the smaller one.
# Masks are compared, or boxes if there are no masks.
NMS_IOS_THR = 0.5
# An object counts as cut if its distance to an edge of its tile, but not to the border of the
# image, is at most MARGIN times the tile's side. A cut object is dropped if the box of a complete
# object covers at least the share MAX_COVERED of its box. Their classes may differ, since a part of
# an object may look like another class.
MARGIN = 1 / 64
MAX_COVERED = 0.7
# mmdet's heads of which fixes/mmdet has a subclass that predicts masks in less memory
LARGE_MASK_HEADS = ('FCNMaskHead', 'RTMDetInsHead', 'RTMDetInsSepBNHead', 'MaskFormerFusionHead')


@dataclass(eq=False, repr=False)
class Detector(Predictor[Detections]):
    """Predictor for detection and instance segmentation."""

    task = DETECTION.name
    finds_objects = True

    score_thr: float = 0.3  # detections with a lower score are dropped
    # The thresholds of classes that have another one than ``score_thr``, by name
    class_score_thr: Mapping[str, float] = field(default_factory=dict)
    # If the masks of an image would need more bytes as an array, they are a CompactMask.
    max_mask_bytes: int = MAX_MASK_BYTES

    @classmethod
    def adapt_config(cls, model_cfg: ConfigDict) -> None:
        """Replace mmdet's mask heads by this package's, which make no masks of objects under the
        confidence threshold, and none at the size of a large image. The masks are equal.
        """
        from ..fixes import mmdet as mmdet_fixes  # noqa: F401  # it registers the heads

        for settings in iter_dicts([model_cfg]):
            if settings.get('type') in LARGE_MASK_HEADS:
                settings['type'] = f'mmgcvit.{settings["type"]}'

    @property
    def limit(self) -> float:
        return find_max_objects(self.network)

    @property
    def thresholds(self) -> ScoreThresholds:
        """The confidence thresholds: ``score_thr`` and ``class_score_thr``."""
        return ScoreThresholds(self.score_thr, self.class_score_thr)

    @property
    def lowest_thr(self) -> float:
        """The lowest confidence threshold of a class."""
        return min([self.score_thr, *self.class_score_thr.values()])

    def prepare_image(self, image: NDArray[np.uint8]) -> dict[str, Any]:
        prepared = super().prepare_image(image)
        # The mask heads in fixes/mmdet make masks by them; other heads ignore them.
        settings = {'score_thr': self.lowest_thr, 'max_mask_bytes': self.max_mask_bytes}
        prepared['data_samples'].set_metainfo(settings)
        return prepared

    def describe_settings(self) -> list[str]:
        return [f'confidence threshold: {self.thresholds}, tiles: {self.tiles or "none"}']

    def list_categories(self) -> list[Record]:
        """Return the id and the name of each class. Ids are COCO's or start at 1."""
        return [{**category} for category in make_coco_categories(self.classes)]

    def with_score_thr(self, score_thr: ScoreThr) -> 'Detector':
        return self.with_thresholds(self.thresholds.override(score_thr))

    def with_thresholds(self, thresholds: ScoreThresholds) -> 'Detector':
        """Return this detector with other confidence thresholds.

        Raise a UserError for a class that it does not have, and for a threshold that is not a
        number from 0 to 1.
        """
        thresholds.check(self.classes)
        return replace(self, score_thr=thresholds.overall, class_score_thr=thresholds.by_class)

    def get_score_thr(self, labels: torch.Tensor) -> torch.Tensor | float:
        """Return the confidence threshold of each of ``labels``, (n,) float32, or the one of all
        classes.
        """
        if not self.class_score_thr:
            return self.score_thr
        return torch.tensor(self.thresholds.list_by_class(self.classes))[labels]

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
        check_installed('predicting with tiles', 'supervision')
        import supervision as sv

        height, width = image.shape[:2]
        detect = TileDetector(self)
        slicer = sv.InferenceSlicer(
            detect if self.tiles_per_batch > 1 else detect.detect_one,
            slice_wh=side,
            overlap_wh=int(OVERLAP * side),
            overlap_filter=sv.OverlapFilter.NONE,
            compact_masks=True,
            batch_size=self.tiles_per_batch,
        )
        objects: Any = drop_cut_objects(slicer(image), (height, width), MARGIN * side)
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
            is_limited=detect.is_limited,
        )


@dataclass
class TileDetector:
    """Detects the objects of tiles for supervision's InferenceSlicer."""

    model: Detector
    is_limited: bool = False  # whether a tile had as many detections as the model can return

    def __call__(self, tiles: Sequence[NDArray[np.uint8]]) -> 'list[supervision.Detections]':
        """Return the objects of each tile.

        Their data have its edges [left, top, right, bottom], seen from the box's corner (``tile``):
        the slicer moves boxes to their places in the image, and says of no tile where it is.
        """
        found = []
        for tile, outcome in zip(tiles, self.model.predict_batch(tiles), strict=True):
            prediction = outcome.get('a tile')
            if prediction.is_limited:
                self.is_limited = True
            objects = prediction.to_supervision()
            height, width = tile.shape[:2]
            corners = objects.xyxy[:, :2]
            objects.data['tile'] = np.hstack([-corners, (width, height) - corners])
            found.append(objects)
        return found

    def detect_one(self, tile: NDArray[np.uint8]) -> 'supervision.Detections':
        """Return the objects of one tile."""
        return self([tile])[0]


def drop_cut_objects(
    objects: 'supervision.Detections', size: tuple[int, int], margin: float
) -> 'supervision.Detections':
    """Drop the objects that one tile cuts and another shows completely.

    An edge of a tile cuts no object if it is the image's. ``size`` is the image's (height, width),
    and ``margin`` the number of pixels from an edge within which an object counts as cut.
    """
    from mmdet.structures.bbox import bbox_overlaps

    if not len(objects):
        return objects
    corners = objects.xyxy[:, :2]
    tiles = np.hstack([corners, corners]) + objects.data['tile']
    height, width = size
    # Half a pixel, since boxes are floats.
    is_image_edge = find_near_edges(tiles, np.array([0, 0, width, height]), margin=0.5)
    is_cut = np.asarray((find_near_edges(objects.xyxy, tiles, margin) & ~is_image_edge).any(1))
    boxes = torch.from_numpy(objects.xyxy)
    # The intersection of each cut and each complete box / the area of the cut one
    covered = bbox_overlaps(boxes[is_cut], boxes[~is_cut], mode='iof').numpy()
    is_kept = ~is_cut
    is_kept[is_cut] = covered.max(1, initial=0) < MAX_COVERED
    return objects.select(np.flatnonzero(is_kept))


def find_near_edges(boxes: NDArray[Any], areas: NDArray[Any], margin: float) -> NDArray[np.bool_]:
    """Return (n, 4) bool: whether each box is near the [left, top, right, bottom] edge of its area,
    (n, 4), or of one for all boxes, (4,).
    """
    distances = [boxes[:, :2] - areas[..., :2], areas[..., 2:] - boxes[:, 2:]]
    return np.hstack(distances) <= margin


def convert_masks(masks: Tensor | list[RLE] | None, size: tuple[int, ...]) -> 'Masks | None':
    """Convert the masks of a network in an image of (height, width)."""
    if masks is None:
        return None
    if isinstance(masks, Tensor):
        return masks.numpy().astype(bool, copy=False)
    check_installed('predicting masks in large images', 'supervision')
    import supervision as sv

    # Masks of Mask2Former and RTMDet-Ins may reach beyond their boxes.
    left, top, box_width, box_height = np.array(find_rle_boxes(masks), np.int64).reshape(-1, 4).T
    # A box is inclusive for supervision. That of an empty mask has a pixel.
    right = left + np.maximum(box_width, 1) - 1
    bottom = top + np.maximum(box_height, 1) - 1
    crops = np.stack([left, top, right, bottom], axis=1)
    height, width = size[:2]
    return sv.CompactMask.from_coco_rle(masks, crops, (height, width))
