"""Implement mmdet's two-stage detectors so that they can be exported. Read
``TwoStageGraph.forward`` first.

Shapes: B images of the batch, P proposals of an image, K classes, N objects of all images.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet import models
from mmdet.models.task_modules import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.coders.delta_xywh_bbox_coder import delta2bbox
from mmengine.structures import BaseDataElement
from torch import Tensor
from torch.onnx.operators import shape_as_tensor
from torchvision.ops import roi_align

from ..errors import UserError
from ..fixes import mmdet as mmdet_fixes
from ..host.runners import list_modules
from ..models.layers.layouts import nchw_to_nhwc
from .detector_graph import (
    NO_OBJECT,
    OBJECT_THRESHOLD,
    DetectorGraph,
    Tensors,
    apply_nms,
    clip_boxes,
    find_unsupported_nms,
    gather_rows,
    list_objects,
    select_top_scores,
)
from .graphs import SCORE_THR

ROI_HEADS = (
    models.StandardRoIHead,
    models.CascadeRoIHead,
    mmdet_fixes.StandardRoIHead,
    mmdet_fixes.CascadeRoIHead,
)
SUPPORTED = (
    "Export supports mmdet's DINO, RTMDet-Ins, Mask2Former for instances, and Faster, Mask and "
    'Cascade R-CNN with RPNHead, ConvFCBBoxHead, FCNMaskHead, DeltaXYWHBBoxCoder, RoIAlign with '
    "pool_mode='avg' and plain NMS"
)


class TwoStageGraph(DetectorGraph):
    """Faster, Mask or Cascade R-CNN as a module to trace.

    Other detectors, heads and NMS raise a UserError.
    """

    nms_score_thr: Tensor  # (1,), of the last NMS

    def __init__(self, model: Any):
        roi_head: Any = getattr(model, 'roi_head', None)
        if type(roi_head) not in ROI_HEADS:
            raise UserError(f'cannot export a detector of type {type(model).__name__}. {SUPPORTED}')
        super().__init__()
        self.model = model
        heads = [model.rpn_head, *list_modules(roi_head.bbox_head)]
        if roi_head.with_mask:
            self.output_names = (*DetectorGraph.output_names, 'masks')
            heads += list_modules(roi_head.mask_head)
        types = (models.RPNHead, models.ConvFCBBoxHead, models.FCNMaskHead)
        unsupported = [type(head).__name__ for head in heads if not isinstance(head, types)]
        unsupported += find_unsupported_nms(model.test_cfg.rpn.nms)
        unsupported += find_unsupported_nms(model.test_cfg.rcnn.nms)
        if unsupported:
            raise UserError(f'cannot export a detector with {", ".join(unsupported)}. {SUPPORTED}')
        self.register_buffer(SCORE_THR, torch.tensor([float(model.test_cfg.rcnn.score_thr)]))

    def forward(self, images: Tensor) -> Tensors:
        """Predict the objects in images (B, 3, H, W), ordered by image, then by descending score.

        Return boxes (N, 4) = [x1, y1, x2, y2] in pixels; scores, labels and image indices (N,); and
        masks (N, h, w), probabilities inside the boxes.
        """
        # An operator in the trace, so it is not a constant.
        size = shape_as_tensor(images)[-2:].to(images.device)
        feature_maps = self.extract_feature_maps(images)
        proposals, is_proposal = self.predict_proposals(feature_maps, size)
        boxes, scores = self.predict_boxes(feature_maps, proposals, size)
        scores = scores.masked_fill(~is_proposal.unsqueeze(1), NO_OBJECT)
        cfg = self.model.test_cfg.rcnn
        # Each class has its own boxes, so it is passed as an image.
        kept = apply_nms(
            boxes=boxes.flatten(0, 1),
            scores=scores.flatten(0, 1),
            nms=cfg.nms,
            score_thr=self.nms_score_thr,
        )
        kept = kept.reshape_as(scores).flatten(1)
        image, index, top_scores = list_objects(kept, cfg.max_per_img)
        labels = torch.div(index, scores.shape[2], rounding_mode='floor')
        boxes = boxes.flatten(1, 2)[image, index]
        if 'masks' not in self.output_names:
            return boxes, top_scores, labels, image
        masks = self.predict_masks(feature_maps, boxes, labels, image)
        return boxes, top_scores, labels, image, masks

    def collect_outputs(
        self, samples: Sequence[BaseDataElement], inputs: Tensor
    ) -> dict[str, Tensor]:
        outputs = super().collect_outputs(samples, inputs)
        if 'masks' in self.output_names:
            # mmdet's masks cover the whole image, the file's only the box. So expect the masks of
            # the traced module.
            outputs['masks'] = self.predict_masks(
                self.extract_feature_maps(inputs),
                outputs['boxes'],
                outputs['labels'],
                outputs['image_indices'],
            )
        return outputs

    def predict_proposals(self, feature_maps: Tensors, size: Tensor) -> tuple[Tensor, Tensor]:
        """Return boxes (B, P, 4) by descending score, and a mask (B, P): False after an image's
        last proposal.
        """
        head = self.model.rpn_head
        cfg = self.model.test_cfg.rpn
        logits, deltas = head(feature_maps)
        sizes = [level.shape[-2:] for level in logits]
        anchors = head.prior_generator.grid_priors(sizes, device=size.device)
        all_scores = []
        all_boxes = []
        for i, level_anchors in enumerate(anchors):
            # Logits, because onnxruntime's sigmoid is 0 below -18, so the order of the boxes with
            # low scores would be lost.
            level_scores = nchw_to_nhwc(logits[i]).flatten(1)
            top_scores, order = select_top_scores(level_scores, cfg.get('nms_pre', -1))
            level_deltas = nchw_to_nhwc(deltas[i]).reshape(level_scores.shape[0], -1, 4)
            top_deltas = gather_rows(level_deltas, order).flatten(0, 1)
            level_boxes = decode_boxes(level_anchors[order], top_deltas, head.bbox_coder, size)
            level_boxes = level_boxes.squeeze(2)
            sides = level_boxes[..., 2:] - level_boxes[..., :2]
            is_small = (sides <= cfg.get('min_bbox_size', -1)).any(-1)
            top_scores = top_scores.masked_fill(is_small, NO_OBJECT)
            all_boxes.append(level_boxes)
            kept = apply_nms(
                boxes=level_boxes,
                scores=top_scores,
                nms=cfg.nms,
                score_thr=torch.tensor([OBJECT_THRESHOLD]),
            )
            all_scores.append(kept)
        scores, order = select_top_scores(torch.cat(all_scores, dim=1), cfg.max_per_img)
        return gather_rows(torch.cat(all_boxes, dim=1), order), scores > OBJECT_THRESHOLD

    def predict_boxes(
        self, feature_maps: Tensors, boxes: Tensor, size: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return boxes (B, K, P, 4) and scores (B, K, P) of every class, predicted from proposals
        (B, P, 4).
        """
        # In a cascade each head refines the boxes of the previous head. The heads' logits are
        # averaged before softmax.
        batch, proposals = boxes.shape[:2]
        image_indices = torch.arange(batch, device=boxes.device, dtype=boxes.dtype)
        image_indices = image_indices[:, None, None].expand(-1, proposals, -1)
        logits = []
        heads = list_modules(self.model.roi_head.bbox_head)
        extractors = list_modules(self.model.roi_head.bbox_roi_extractor)
        for head, extractor in zip(heads, extractors, strict=True):
            rois = torch.cat([image_indices, boxes], dim=-1).flatten(0, 1)
            head_logits, deltas = head(extract_roi_features(extractor, feature_maps, rois))
            # Use reshape, because the exporter would turn the sizes of unflatten into constants.
            logits.append(head_logits.reshape(batch, proposals, -1))
            # One box for all classes if the head is class-agnostic, else one per class.
            class_boxes = decode_boxes(boxes, deltas, head.bbox_coder, size)
            if class_boxes.shape[2] == 1:
                boxes = class_boxes.squeeze(2)
            else:
                best = head_logits[..., :-1].argmax(-1).reshape(batch, proposals, 1, 1)
                boxes = class_boxes.gather(2, best.expand(-1, -1, 1, 4)).squeeze(2)
        scores = (sum(logits) / len(logits)).softmax(-1)[..., :-1].transpose(1, 2)
        return class_boxes.transpose(1, 2).expand(-1, scores.shape[1], -1, -1), scores

    def predict_masks(
        self, maps: Tensors, boxes: Tensor, labels: Tensor, image_indices: Tensor
    ) -> Tensor:
        """Return the probability that a pixel of a box belongs to the object, (N, h, w), averaged
        over the heads.
        """
        rois = torch.cat([image_indices.unsqueeze(1).to(boxes.dtype), boxes], dim=1)
        # Some runtimes reject convolutions of an empty batch, so one RoI is added here and its mask
        # is removed below.
        rois = torch.cat([rois, rois.new_zeros(1, 5)])
        masks = []
        heads = list_modules(self.model.roi_head.mask_head)
        extractors = list_modules(self.model.roi_head.mask_roi_extractor)
        for head, extractor in zip(heads, extractors, strict=True):
            masks.append(head(extract_roi_features(extractor, maps, rois)).sigmoid())
        masks = (sum(masks) / len(masks))[:-1]
        if heads[0].class_agnostic:
            return masks[:, 0]
        class_indices = labels[:, None, None, None].expand(-1, -1, *masks.shape[2:])
        return masks.gather(1, class_indices)[:, 0]


def decode_boxes(boxes: Tensor, deltas: Tensor, coder: DeltaXYWHBBoxCoder, size: Tensor) -> Tensor:
    """Move and scale boxes (B, n, 4) by deltas (B * n, 4 * K), and clip them to images of ``size``
    (2,) = [height, width].

    Return boxes (B, n, K, 4) = [x1, y1, x2, y2] in pixels.
    """
    decoded = delta2bbox(boxes.flatten(0, 1), deltas, coder.means, coder.stds)
    return clip_boxes(decoded.reshape(*boxes.shape[:2], -1, 4), size)


def extract_roi_features(extractor: Any, feature_maps: Tensors, rois: Tensor) -> Tensor:
    """Return features (n, C, h, w) of RoIs (n, 5) = [image index, x1, y1, x2, y2] in pixels."""
    layers = extractor.roi_layers
    levels = extractor.map_roi_levels(rois, len(layers))
    indices = []
    features = []
    for level, layer in enumerate(layers):
        index = (levels == level).nonzero()[:, 0]
        indices.append(index)
        features.append(
            roi_align(
                feature_maps[level],
                rois[index],
                layer.output_size,
                layer.spatial_scale,
                layer.sampling_ratio,
                layer.aligned,
            )
        )
    order = torch.cat(indices)  # sorted by level; the scatter below restores the order of the RoIs
    positions = torch.arange(order.shape[0], device=order.device)
    return torch.cat(features)[torch.empty_like(order).scatter(0, order, positions)]
