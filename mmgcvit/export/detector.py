"""A detector as one graph: from normalised images to boxes, scores, classes and masks, suppression included.

Legend: B batch, P proposals of an image, K classes, N objects of all images.
"""

import torch
from mmdet.models import CascadeRoIHead, StandardRoIHead, TwoStageDetector
from mmengine.config import ConfigDict
from torch import Tensor, nn

from ..inference import UserError
from .box_stages import BoxStages
from .mask_stages import MaskStages
from .padding import padded, size_of
from .proposals import Proposals
from .suppression import IS_SOMETHING, NOTHING, suppressed
from .thresholds import iou_threshold_of

SUPPORTED = 'Faster R-CNN, Mask R-CNN and Cascade R-CNN, with or without masks'


class DetectorGraph(nn.Module):
    """A two-stage detector of mmdet's.

    Args:
        model: In eval mode.

    Raises:
        UserError: It is another detector, or has parts that have no place in a graph; says what has.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        roi_head = getattr(model, 'roi_head', None)
        if not isinstance(model, TwoStageDetector) or type(roi_head) not in (StandardRoIHead, CascadeRoIHead):
            what = type(model).__name__ if roi_head is None else f'{type(model).__name__}, {type(roi_head).__name__}'
            raise UserError(
                f'the detector is a {what}; exported whole are {SUPPORTED}. Of any other, --part backbone exports the '
                'backbone'
            )
        if roi_head.with_shared_head:
            raise UserError(f'the detector has a shared head; exported are {SUPPORTED}, without one')
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.proposals = Proposals(model.rpn_head, model.test_cfg.rpn)
        self.boxes = BoxStages(as_list(roi_head.bbox_head), as_list(roi_head.bbox_roi_extractor))
        self.masks = None
        if roi_head.with_mask:
            self.masks = MaskStages(as_list(roi_head.mask_head), as_list(roi_head.mask_roi_extractor))
        self.size_divisor = model.data_preprocessor.pad_size_divisor
        self.choice = Choice(model.test_cfg.rcnn)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) to the objects of all of them, image by image, the surest of each first.

        Returns:
            Boxes (N, 4) in pixels of the images, scores (N,), classes (N,), the image's index (N,), and of a detector
            with masks (N, h, w), probabilities inside the boxes.
        """
        size = size_of(images)
        maps = self.maps_of(images)
        proposals, is_proposal = self.proposals(maps, size)
        boxes, scores = self.boxes(maps, proposals, size)
        scores = scores.masked_fill(~is_proposal.unsqueeze(1), NOTHING)
        boxes, scores, labels, images_of = self.choice(boxes, scores)
        found = (boxes, scores, labels, images_of)
        if self.masks is None:
            return found
        rois = torch.cat([images_of.unsqueeze(1).to(boxes.dtype), boxes], dim=1)
        return (*found, self.masks(maps, rois, labels))

    def maps_of(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) to the neck's maps."""
        return self.neck(self.backbone(padded(images, self.size_divisor)))


class Choice(nn.Module):
    """The objects that a detector answers with.

    Args:
        test_cfg: ``score_thr``, ``nms`` and ``max_per_img``.
    """

    def __init__(self, test_cfg: ConfigDict) -> None:
        super().__init__()
        self.score_thr = float(test_cfg.score_thr)
        self.iou_threshold = iou_threshold_of(test_cfg.nms)
        self.max_per_img = test_cfg.max_per_img

    def forward(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Boxes (B, K, P, 4) and scores (B, K, P) to boxes (N, 4), scores, classes and images' indices (N,)."""
        # Boxes differ from class to class, so that each class is to the operator an image of its own.
        alone = suppressed(boxes.flatten(0, 1), scores.flatten(0, 1).unsqueeze(1), self.iou_threshold, self.score_thr)
        kept, order = alone.reshape_as(scores).flatten(1).sort(dim=1, descending=True)
        if self.max_per_img > 0:
            kept, order = kept[:, : self.max_per_img], order[:, : self.max_per_img]
        image, rank = (kept > IS_SOMETHING).nonzero().unbind(1)
        place = order[image, rank]
        labels = torch.div(place, scores.shape[2], rounding_mode='floor')
        return boxes.flatten(1, 2)[image, place], kept[image, rank], labels, image


def as_list(part: nn.Module) -> list[nn.Module]:
    """The parts of a head that has one, or one for each stage."""
    return list(part) if isinstance(part, nn.ModuleList) else [part]
