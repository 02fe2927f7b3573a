"""Implement mmdet's Mask2Former for instances so that it can be exported: images to boxes, scores, labels and masks.

Shapes: B images of the batch, Q queries, K classes, N objects.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from .deformable_attention import gather_in_attention
from .detector_graph import NO_OBJECT, DetectorGraph, list_objects, select_top_scores
from .graphs import pad_images


class Mask2FormerGraph(DetectorGraph):
    """mmdet's Mask2Former for tracing."""

    def __init__(self, model: nn.Module) -> None:
        if not model.test_cfg.get('instance_on', False):
            raise UserError('cannot export a Mask2Former for panoptic segmentation. Set test_cfg.instance_on=True')
        super().__init__(model, with_masks=True, mask_stride=model.panoptic_head.pixel_decoder.strides[0])
        self.head = gather_in_attention(model.panoptic_head)
        self.max_per_image = model.test_cfg.get('max_per_image', 100)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Predict the objects in images (B, 3, H, W): boxes (N, 4), scores, labels, image indices (N,), mask logits."""
        logits, masks = (levels[-1] for levels in self.head(self.extract_feature_maps(images), None))
        scores, order = select_top_scores(logits.softmax(-1)[..., :-1].flatten(1), self.max_per_image)
        num_classes = logits.shape[-1] - 1
        labels, queries = order % num_classes, torch.div(order, num_classes, rounding_mode='floor')
        padded_size = pad_images(images, self.size_divisor).shape[-2:]
        resized = F.interpolate(masks, padded_size, mode='bilinear')[..., : images.shape[-2], : images.shape[-1]]
        boxes, mask_scores = describe_masks(resized)
        scores = (scores * mask_scores.gather(1, queries)).masked_fill(
            labels >= self.head.num_things_classes, NO_OBJECT
        )
        image, index, top_scores = list_objects(scores, self.max_per_image)
        query = queries[image, index]
        return boxes[image, query], top_scores, labels[image, index], image, masks[image, query]


def describe_masks(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return boxes around masks (B, Q, H, W) of logits, (B, Q, 4), and mean probabilities of their pixels, (B, Q)."""
    inside = (logits > 0).to(logits.dtype)
    scores = (logits.sigmoid() * inside).sum((2, 3)) / (inside.sum((2, 3)) + 1e-6)
    begins, ends = [], []
    for dim in (2, 3):
        is_inside = logits.amax(dim) > 0  # columns, then rows
        indices = torch.arange(is_inside.shape[2], device=logits.device, dtype=logits.dtype)
        end = (indices + 1).masked_fill(~is_inside, 0).amax(2)
        # An empty mask gets the box [0, 0, 0, 0].
        begins.append(torch.minimum(torch.where(is_inside, indices, end.unsqueeze(2)).amin(2), end))
        ends.append(end)
    return torch.stack([*begins, *ends], dim=-1), scores
