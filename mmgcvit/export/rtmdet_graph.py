"""Implement mmdet's RTMDet-Ins (Lyu et al.) so that it can be exported.

Shapes: B images of the batch, S pixels of all levels, n candidates of an image, K classes, N
    objects of all images, D parameters of an object's mask head.
"""

from typing import Any

import torch
from mmdet.models.task_modules import DistancePointBBoxCoder
from torch import Tensor
from torch.onnx.operators import shape_as_tensor

from ..errors import UserError
from ..models.layers.layouts import nchw_to_nhwc
from .detector_graph import (
    NO_OBJECT,
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


class RTMDetInsGraph(DetectorGraph):
    """mmdet's RTMDet-Ins as a module to trace. Read its ``forward``, then the methods below."""

    mask_type = 'resize'
    output_names = (*DetectorGraph.output_names, 'masks')
    nms_score_thr: Tensor  # (1,), of the NMS

    def __init__(self, model: Any):
        super().__init__()
        head = model.bbox_head
        unsupported = find_unsupported_nms(model.test_cfg.nms)
        if type(head.bbox_coder) is not DistancePointBBoxCoder:
            unsupported.append(type(head.bbox_coder).__name__)
        if not head.use_sigmoid_cls:
            unsupported.append('loss_cls.use_sigmoid=False')
        if unsupported:
            raise UserError(
                f'cannot export an RTMDet-Ins with {", ".join(unsupported)}. Export supports plain '
                'NMS, DistancePointBBoxCoder and loss_cls.use_sigmoid=True'
            )
        self.mask_stride = head.prior_generator.strides[0][0]
        self.model = model
        self.cfg = model.test_cfg
        self.register_buffer(SCORE_THR, torch.tensor([float(self.cfg.get('score_thr', 0))]))

    def forward(self, images: Tensor) -> Tensors:
        """Predict the objects in images (B, 3, H, W): boxes (N, 4), scores, labels and image
        indices (N,), mask logits (N, h, w).
        """
        size = shape_as_tensor(images)[-2:]
        head = self.model.bbox_head
        logits, distances, kernels, mask_features = head(self.extract_feature_maps(images))
        sizes = [level.shape[-2:] for level in logits]
        priors = head.prior_generator.grid_priors(sizes, device=images.device, with_stride=True)
        priors = torch.cat(priors)
        scores, labels, pixels = self.select_candidates(logits)
        boxes = decode_boxes(priors[pixels][..., :2], join_levels(distances), pixels, size)
        min_size = self.cfg.get('min_bbox_size', -1)
        if min_size >= 0:
            is_large = (boxes[..., 2:] - boxes[..., :2] > min_size).all(-1)
            scores = scores.masked_fill(~is_large, NO_OBJECT)
        kept = self.apply_nms_by_class(boxes, scores, labels)
        image, index, top_scores = list_objects(kept, self.cfg.max_per_img)
        pixels = pixels[image, index]
        kernels = join_levels(kernels)[image, pixels]
        masks = self.predict_masks(mask_features, kernels, priors[pixels], image)
        return boxes[image, index], top_scores, labels[image, index], image, masks

    def apply_nms_by_class(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Tensor:
        """Apply NMS to boxes (B, n, 4) with scores and labels (B, n), to each class separately.

        Return the scores, with ``NO_OBJECT`` for dropped boxes.
        """
        num_classes = self.model.bbox_head.num_classes
        classes = torch.arange(num_classes, device=labels.device)
        is_class = labels.unsqueeze(1) == classes.unsqueeze(1)
        class_scores = scores.unsqueeze(1).masked_fill(~is_class, NO_OBJECT)
        # Each class is passed as an image.
        class_boxes = boxes.unsqueeze(1).expand(-1, num_classes, -1, -1)
        kept = apply_nms(
            boxes=class_boxes.flatten(0, 1),
            scores=class_scores.flatten(0, 1),
            nms=self.cfg.nms,
            score_thr=self.nms_score_thr,
        )
        return kept.reshape_as(class_scores).amax(1)

    def select_candidates(self, logits: Tensors) -> tuple[Tensor, Tensor, Tensor]:
        """Return the top scores of each level's logits (B, K, h, w), their labels and their pixels
        (0 to S - 1), all (B, n).
        """
        all_scores = []
        all_labels = []
        all_pixels = []
        start = 0
        for level in logits:
            num_classes, height, width = level.shape[1:]
            # Logits, because onnxruntime's sigmoid is 0 below -18, so the order of the boxes with
            # low scores would be lost.
            level_logits = nchw_to_nhwc(level).flatten(1)
            top_logits, order = select_top_scores(level_logits, self.cfg.get('nms_pre', -1))
            pixels = torch.div(order, num_classes, rounding_mode='floor')
            all_scores.append(top_logits.sigmoid())
            all_labels.append(order % num_classes)
            all_pixels.append(start + pixels)
            start = start + height * width
        return torch.cat(all_scores, 1), torch.cat(all_labels, 1), torch.cat(all_pixels, 1)

    def predict_masks(
        self, features: Tensor, kernels: Tensor, priors: Tensor, image: Tensor
    ) -> Tensor:
        """Return mask logits (N, h, w), predicted from ``features`` (B, C, h, w) by a small network
        for each object.

        ``kernels`` (N, D) are the weights and biases of the networks, ``priors`` (N, 4) = [x, y,
        stride, stride].
        """
        head = self.model.bbox_head
        size = features.shape[-2:]
        make_grid = head.prior_generator.single_level_grid_priors
        points = make_grid(size, level_idx=0, device=features.device)
        offsets = (priors[:, None, :2] - points) / (priors[:, None, 2:] * 8)
        x = torch.cat([offsets.transpose(1, 2), features.flatten(2)[image]], dim=1)
        weights = kernels.split(head.weight_nums + head.bias_nums, dim=1)
        biases = weights[head.num_dyconvs :]
        for i, bias in enumerate(biases):
            if i > 0:
                x = x.relu()
            channels = head.bias_nums[i]
            weight = weights[i].reshape(-1, channels, head.weight_nums[i] // channels)
            x = weight @ x + bias.unsqueeze(-1)
        return x.reshape(-1, *size)


def join_levels(maps: Tensors) -> Tensor:
    """Return the pixels (B, S, C) of the feature maps (B, C, h, w) of all levels."""
    return torch.cat([level.flatten(2) for level in maps], dim=2).transpose(1, 2)


def decode_boxes(points: Tensor, distances: Tensor, pixels: Tensor, size: Tensor) -> Tensor:
    """Return boxes (B, n, 4) = [x1, y1, x2, y2] around points (B, n, 2), clipped to images of
    ``size`` (2,) = [height, width].

    ``distances`` (B, S, 4) = [left, top, right, bottom] are those of all pixels, ``pixels`` (B, n)
    the points' indices.
    """
    top_left, bottom_right = gather_rows(distances, pixels).split(2, dim=-1)
    return clip_boxes(torch.cat([points - top_left, points + bottom_right], dim=-1), size)
