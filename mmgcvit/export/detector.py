"""A two-stage detector as one graph: from normalised images to boxes, scores, classes and masks, NMS included.

:class:`DetectorGraph` predicts what mmdet's two-stage detectors do, for any batch and image size, in ONNX's operators.
Read its ``forward``, then the steps below it in that order, then the functions that they call.

Shapes: B batch, P proposals of an image, K classes, N objects of all images.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models import (
    CascadeRoIHead,
    ConvFCBBoxHead,
    FCNMaskHead,
    RPNHead,
    SingleRoIExtractor,
    StandardRoIHead,
    TwoStageDetector,
)
from mmdet.models.task_modules import DeltaXYWHBBoxCoder
from mmengine.config import ConfigDict
from torch import Tensor, nn
from torch.onnx.operators import shape_as_tensor
from torchvision.ops import nms, roi_align

from ..errors import UserError
from ..models.layers.windows import round_up

SUPPORTED = (
    "exported are mmdet's Faster, Mask and Cascade R-CNN with RPNHead, ConvFCBBoxHead, FCNMaskHead, "
    'DeltaXYWHBBoxCoder, RoIAlign that averages and plain NMS'
)
# The score of positions without an object; other scores are from 0 to 1, and the threshold is halfway.
NOTHING, IS_SOMETHING = -1.0, -0.5


class DetectorGraph(nn.Module):
    """A two-stage detector of mmdet in eval mode; :func:`check_supported` rejects others."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        check_supported(model)
        roi_head = model.roi_head
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.rpn_head = model.rpn_head
        self.box_heads = nn.ModuleList(as_list(roi_head.bbox_head))
        self.box_extractors = as_list(roi_head.bbox_roi_extractor)
        self.mask_heads = nn.ModuleList(as_list(roi_head.mask_head) if roi_head.with_mask else [])
        self.mask_extractors = as_list(roi_head.mask_roi_extractor) if roi_head.with_mask else []
        self.size_divisor = model.data_preprocessor.pad_size_divisor
        self.rpn_cfg, self.rcnn_cfg = model.test_cfg.rpn, model.test_cfg.rcnn
        names = ['boxes', 'scores', 'labels', 'image_indices', *(['masks'] if roi_head.with_mask else [])]
        self.outputs = {name: {0: 'objects'} for name in names}

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) to the objects of all of them, image by image, the highest-scoring first.

        Boxes (N, 4) in pixels of the images, scores (N,), classes (N,), the image's index (N,), and from a detector
        with masks (N, h, w), probabilities inside the boxes.
        """
        # In a trace a function of the input, not the example's height and width.
        size = shape_as_tensor(images)[-2:].to(images.device)
        maps = self.compute_maps(images)
        proposals, is_proposal = self.propose(maps, size)
        boxes, scores = self.predict_boxes(maps, proposals, size)
        scores = scores.masked_fill(~is_proposal.unsqueeze(1), NOTHING)
        boxes, scores, labels, images_of = select_objects(boxes, scores, self.rcnn_cfg)
        found = (boxes, scores, labels, images_of)
        return (*found, self.predict_masks(maps, boxes, labels, images_of)) if self.mask_heads else found

    def compute_maps(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (B, 3, H, W) to the neck's maps (B, C, H_i, W_i)."""
        return self.neck(self.backbone(pad_images(images, self.size_divisor)))

    def propose(self, maps: tuple[Tensor, ...], size: Tensor) -> tuple[Tensor, Tensor]:
        """Sorted boxes (B, P, 4), and whether they are proposals, (B, P): the last may be padding."""
        scores, deltas = self.rpn_head(maps)
        anchors = self.rpn_head.prior_generator.grid_priors([s.shape[-2:] for s in scores], device=size.device)
        nms_pre = self.rpn_cfg.get('nms_pre', -1)
        levels = []
        for logits, shifts, own in zip(scores, deltas, anchors, strict=True):
            best, order = take_best(logits.permute(0, 2, 3, 1).flatten(1).sigmoid(), nms_pre)
            shifts = shifts.permute(0, 2, 3, 1).reshape(shifts.shape[0], -1, 4)
            levels.append((best, gather_rows(shifts, order), own[order]))
        # NMS is done in each level by itself: its levels are the operator's classes.
        by_level = [
            torch.cat([s if i == level else fill_nothing(s) for i, (s, _, _) in enumerate(levels)], dim=1)
            for level in range(len(levels))
        ]
        deltas, anchors = (torch.cat(parts, dim=1) for parts in list(zip(*levels, strict=True))[1:])
        boxes = decode_boxes(anchors, deltas, self.rpn_head.bbox_coder, size)
        scores = torch.stack(by_level, dim=1)
        smallest = self.rpn_cfg.get('min_bbox_size', -1)
        if smallest >= 0:
            is_large = (boxes[..., 2:] - boxes[..., :2] > smallest).all(-1)
            scores = scores.masked_fill(~is_large.unsqueeze(1), NOTHING)
        kept = suppress(boxes, scores, self.rpn_cfg.nms.iou_threshold, IS_SOMETHING).amax(1)
        kept, order = take_best(kept, self.rpn_cfg.max_per_img)
        return gather_rows(boxes, order), kept > IS_SOMETHING

    def predict_boxes(self, maps: tuple[Tensor, ...], boxes: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Proposals (B, P, 4) to boxes (B, K, P, 4) and scores (B, K, P) of every class.

        In a cascade each head takes the boxes of the one before; scores are averaged over the heads before softmax.
        """
        images, proposals = boxes.shape[:2]
        image = torch.arange(images, device=boxes.device, dtype=boxes.dtype)[:, None, None].expand(-1, proposals, -1)
        found = []
        for number, (head, extractor) in enumerate(zip(self.box_heads, self.box_extractors, strict=True)):
            scores, deltas = head(extract_regions(extractor, maps, torch.cat([image, boxes], dim=-1).flatten(0, 1)))
            # Not unflatten: the exporter makes its sizes constants.
            found.append(scores.reshape(images, proposals, -1))
            # One box for all classes, or one for each.
            by_class = deltas.reshape(images, proposals, -1, 4)
            by_class = decode_boxes(boxes.unsqueeze(2), by_class, head.bbox_coder, size)
            if number < len(self.box_heads) - 1:
                best = scores[..., :-1].argmax(-1).reshape(images, proposals, 1, 1).expand(-1, -1, 1, 4)
                boxes = (by_class if by_class.shape[2] == 1 else by_class.gather(2, best)).squeeze(2)
        scores = (sum(found) / len(found)).softmax(-1)[..., :-1].transpose(1, 2)
        return by_class.transpose(1, 2).expand(-1, scores.shape[1], -1, -1), scores

    def predict_masks(self, maps: tuple[Tensor, ...], boxes: Tensor, labels: Tensor, images_of: Tensor) -> Tensor:
        """The probability that a pixel of a box is the object's, (N, h, w), averaged over the heads."""
        rois = torch.cat([images_of.unsqueeze(1).to(boxes.dtype), boxes], dim=1)
        # Not every runtime takes convolutions of zero regions: one is added, and removed afterwards.
        rois = torch.cat([rois, rois.new_zeros(1, 5)])
        heads = zip(self.mask_heads, self.mask_extractors, strict=True)
        masks = [head(extract_regions(extractor, maps, rois)).sigmoid() for head, extractor in heads]
        masks = (sum(masks) / len(masks))[:-1]
        if self.mask_heads[0].class_agnostic:
            return masks[:, 0]
        of_class = labels[:, None, None, None].expand(-1, -1, *masks.shape[2:])
        return masks.gather(1, of_class)[:, 0]


def pad_images(images: Tensor, divisor: int) -> Tensor:
    """Pad images (B, C, H, W) with zeros at the right and bottom, so that ``divisor`` divides both sides."""
    if divisor <= 1:
        return images
    below, right = (round_up(side, divisor) - side for side in images.shape[-2:])
    return F.pad(images, (0, right, 0, below))


def select_objects(boxes: Tensor, scores: Tensor, rcnn_cfg: ConfigDict) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Boxes (B, K, P, 4) and scores (B, K, P) to the objects: boxes (N, 4), scores, classes, image indices (N,)."""
    iou_threshold, score_thr = rcnn_cfg.nms.iou_threshold, rcnn_cfg.score_thr
    # Boxes differ from class to class: each class is an image of its own to the operator.
    alone = suppress(boxes.flatten(0, 1), scores.flatten(0, 1).unsqueeze(1), iou_threshold, score_thr)
    kept, order = take_best(alone.reshape_as(scores).flatten(1), rcnn_cfg.max_per_img)
    image, rank = (kept > IS_SOMETHING).nonzero().unbind(1)
    place = order[image, rank]
    labels = torch.div(place, scores.shape[2], rounding_mode='floor')
    return boxes.flatten(1, 2)[image, place], kept[image, rank], labels, image


# mmdet's default limit of the factor by which a side of a box changes.
LARGEST_FACTOR = 1000 / 16


def decode_boxes(boxes: Tensor, deltas: Tensor, coder: DeltaXYWHBBoxCoder, size: Tensor) -> Tensor:
    """Move and scale boxes by deltas (Girshick et al., R-CNN, appendix C), and clip them to images of ``size`` (2,).

    Boxes (..., 4) are left, top, right, bottom in pixels; deltas (..., 4) are shifts of the centre in sides of the box,
    and logarithms of the sides' factors. The two are broadcast.
    """
    deltas = deltas * deltas.new_tensor(coder.stds) + deltas.new_tensor(coder.means)
    near, far = boxes[..., :2], boxes[..., 2:]
    sides = far - near
    centres = (near + far) * 0.5 + sides * deltas[..., :2]
    limit = math.log(LARGEST_FACTOR)
    halves = sides * deltas[..., 2:].clamp(-limit, limit).exp() * 0.5
    limits = size.flip(0).to(boxes.dtype)
    corners = [torch.minimum(corner.clamp(min=0.0), limits) for corner in (centres - halves, centres + halves)]
    return torch.cat(corners, dim=-1)


def extract_regions(extractor: SingleRoIExtractor, maps: tuple[Tensor, ...], rois: Tensor) -> Tensor:
    """Regions (n, 5), image index and corners, to features (n, C, h, w) of the level that fits their size.

    The level follows from the root of the area (Lin et al., FPN, equation 1).
    """
    layers = extractor.roi_layers
    octaves = torch.log2((rois[:, 3:] - rois[:, 1:3]).prod(1).sqrt() / extractor.finest_scale + 1e-6).floor()
    levels = octaves.clamp(0, len(layers) - 1).long()
    places = [(levels == level).nonzero()[:, 0] for level in range(len(layers))]
    pieces = [
        roi_align(x, rois[place], layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned)
        for x, place, layer in zip(maps, places, layers, strict=False)
    ]
    order = torch.cat(places)
    numbers = torch.arange(order.shape[0], device=order.device)
    return torch.cat(pieces)[torch.empty_like(order).scatter(0, order, numbers)]


def take_best(scores: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The ``most`` highest of scores (B, n), sorted, and their indices; all if it is not above 0."""
    if most <= 0:
        return scores.sort(dim=1, descending=True)
    # TensorRT sorts fewer than 3840 only. A tensor, so that the trace does not make the minimum a constant.
    return scores.topk(torch.minimum(shape_as_tensor(scores)[1], torch.tensor(most)), dim=1)


def gather_rows(values: Tensor, order: Tensor) -> Tensor:
    """Values (B, n, 4) at indices (B, m): (B, m, 4)."""
    return values.gather(1, order.unsqueeze(-1).expand(-1, -1, 4))


def suppress(boxes: Tensor, scores: Tensor, iou_threshold: float, score_thr: float) -> Tensor:
    """Set the scores (B, K, n) of boxes (B, n, 4) that NMS drops to ``NOTHING``; see :class:`NonMaxSuppression`."""
    image, label, place = NonMaxSuppression.apply(boxes, scores, float(iou_threshold), float(score_thr)).unbind(1)
    flat = scores.flatten()
    index = (image * scores.shape[1] + label) * scores.shape[2] + place
    kept = fill_nothing(flat).scatter(0, index, flat[index])
    return kept.reshape_as(scores)


def fill_nothing(scores: Tensor) -> Tensor:
    """``NOTHING`` in the shape of scores; the exporter makes ``torch.full_like`` a constant of one shape."""
    return scores.clamp(max=NOTHING)


class NonMaxSuppression(torch.autograd.Function):
    """ONNX's operator in an export, else torchvision's.

    Boxes (B, n, 4) with scores (B, K, n) of K classes to the indices of those that are kept, (m, 3): image, class, box.
    Boxes that score above ``score_thr`` are candidates; a candidate is dropped if its IoU with a higher-scoring one of
    the same image and class is above ``iou_threshold``.
    """

    # No limit: the operator needs a number, which runtimes keep in 32 bits.
    most = 2**31 - 1

    @staticmethod
    def forward(ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float, score_thr: float) -> Tensor:
        rows = [torch.zeros((0, 3), dtype=torch.int64, device=boxes.device)]
        for image, label in torch.cartesian_prod(torch.arange(scores.shape[0]), torch.arange(scores.shape[1])).tolist():
            candidates = (scores[image, label] > score_thr).nonzero().squeeze(1)
            kept = candidates[nms(boxes[image, candidates], scores[image, label, candidates], iou_threshold)]
            rows.append(torch.stack([torch.full_like(kept, image), torch.full_like(kept, label), kept], dim=1))
        return torch.cat(rows)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, iou_threshold: float, score_thr: float) -> Any:
        numbers = ([NonMaxSuppression.most], [iou_threshold], [score_thr])
        constants = [g.op('Constant', value_t=torch.tensor(number)) for number in numbers]
        places = g.op('NonMaxSuppression', boxes, scores, *constants)
        # Otherwise the exporter makes the example's number of boxes a constant.
        places.setType(boxes.type().with_dtype(torch.int64).with_sizes([None, 3]))
        return places


def as_list(part: nn.Module) -> list[nn.Module]:
    """The parts of a head, which has one or, in a cascade, one for each stage."""
    return list(part) if isinstance(part, nn.ModuleList) else [part]


def check_supported(model: nn.Module) -> None:
    """Reject detectors that the graph does not implement; other differences are found when outputs are compared."""
    roi_head = getattr(model, 'roi_head', None)
    if not isinstance(model, TwoStageDetector) or type(roi_head) not in (StandardRoIHead, CascadeRoIHead):
        raise UserError(f'the detector is a {type(model).__name__}; {SUPPORTED}')
    heads = [(model.rpn_head, RPNHead), *((head, ConvFCBBoxHead) for head in as_list(roi_head.bbox_head))]
    heads += [(head, FCNMaskHead) for head in as_list(roi_head.mask_head)] if roi_head.with_mask else []
    found = [type(head).__name__ for head, kind in heads if not isinstance(head, kind)]
    for nms_cfg in (model.test_cfg.rpn.nms, model.test_cfg.rcnn.nms):
        if nms_cfg.get('type', 'nms') != 'nms' or set(nms_cfg) - {'type', 'iou_threshold', 'split_thr'}:
            found.append(f'NMS {dict(nms_cfg)}')
    if found:
        raise UserError(f'the detector has {", ".join(found)}; {SUPPORTED}')
