"""Implement mmdet's RTMDet-Ins so that it can be exported.

Shapes: B images of the batch, S pixels of all levels, K classes, D parameters of an object's mask head, N objects.
"""

import torch
from mmdet.models.task_modules import DistancePointBBoxCoder
from torch import Tensor, nn
from torch.onnx.operators import shape_as_tensor

from ..errors import UserError
from .detector_graph import (
    NO_OBJECT,
    DetectorGraph,
    apply_nms,
    clip_boxes,
    find_unsupported_nms,
    gather_rows,
    list_objects,
    select_top_scores,
)


class RTMDetInsGraph(DetectorGraph):
    """mmdet's RTMDet-Ins for tracing. Read its ``forward``, then the methods below."""

    def __init__(self, model: nn.Module) -> None:
        coder, unsupported = model.bbox_head.bbox_coder, find_unsupported_nms(model.test_cfg.nms)
        unsupported += [type(coder).__name__] * (type(coder) is not DistancePointBBoxCoder)
        if unsupported:
            raise UserError(f'cannot export an RTMDet-Ins with {", ".join(unsupported)}')
        super().__init__(model, with_masks=True, mask_stride=model.bbox_head.prior_generator.strides[0][0])
        self.head, self.cfg = model.bbox_head, model.test_cfg

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Predict the objects in images (B, 3, H, W): boxes (N, 4), scores, labels, image indices (N,), mask logits."""
        size = shape_as_tensor(images)[-2:]
        logits, distances, kernels, mask_features = self.head(self.extract_feature_maps(images))
        sizes = [level.shape[-2:] for level in logits]
        priors = torch.cat(self.head.prior_generator.grid_priors(sizes, device=images.device, with_stride=True))
        scores, labels, pixels = self.select_candidates(logits)
        distances, kernels = (torch.cat([x.flatten(2) for x in maps], dim=2) for maps in (distances, kernels))
        distances, kernels = distances.transpose(1, 2), kernels.transpose(1, 2)
        distances, points = gather_rows(distances, pixels), priors[pixels][..., :2]
        boxes = clip_boxes(torch.cat([points - distances[..., :2], points + distances[..., 2:]], dim=-1), size)
        if self.cfg.get('min_bbox_size', -1) >= 0:
            is_large = (boxes[..., 2:] - boxes[..., :2] > self.cfg.min_bbox_size).all(-1)
            scores = scores.masked_fill(~is_large, NO_OBJECT)
        # NonMaxSuppression takes the scores of every class.
        is_class = labels.unsqueeze(1) == torch.arange(logits[0].shape[1], device=labels.device).unsqueeze(1)
        scores = scores.unsqueeze(1).masked_fill(~is_class, NO_OBJECT)
        kept = apply_nms(boxes, scores, self.cfg.nms.iou_threshold, self.cfg.score_thr).amax(1)
        image, index, top_scores = list_objects(kept, self.cfg.max_per_img)
        pixels = pixels[image, index]
        masks = self.predict_masks(mask_features, kernels[image, pixels], priors[pixels], image)
        return boxes[image, index], top_scores, labels[image, index], image, masks

    def select_candidates(self, logits: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the top scores of each level's logits (B, K, h, w), labels and pixels (0 to S - 1), all (B, n)."""
        levels, start = [], 0
        for level in logits:
            num_classes, height, width = level.shape[1:]
            scores = level.permute(0, 2, 3, 1).flatten(1).sigmoid()
            top_scores, order = select_top_scores(scores, self.cfg.get('nms_pre', -1))
            pixels = start + torch.div(order, num_classes, rounding_mode='floor')
            levels.append((top_scores, order % num_classes, pixels))
            start = start + height * width
        return tuple(torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))

    def predict_masks(self, features: Tensor, kernels: Tensor, priors: Tensor, image: Tensor) -> Tensor:
        """Return mask logits (N, h, w), predicted from ``features`` (B, C, h, w) by a small network for each object.

        ``kernels`` (N, D) are the weights and biases of the networks, ``priors`` (N, 4) = [x, y, stride, stride].
        """
        head, size = self.head, features.shape[-2:]
        points = head.prior_generator.single_level_grid_priors(size, level_idx=0, device=features.device)
        offsets = (priors[:, None, :2] - points) / (priors[:, None, 2:] * 8)
        x = torch.cat([offsets.transpose(1, 2), features.flatten(2)[image]], dim=1)
        parts = kernels.split(head.weight_nums + head.bias_nums, dim=1)
        for i, (weight_num, bias_num) in enumerate(zip(head.weight_nums, head.bias_nums, strict=True)):
            weight, bias = parts[i].reshape(-1, bias_num, weight_num // bias_num), parts[i + head.num_dyconvs]
            x = weight @ (x.relu() if i else x) + bias.unsqueeze(-1)
        return x.reshape(-1, *size)
