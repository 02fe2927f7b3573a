"""Implement mmdet's Mask2Former for instances (Cheng et al.) so that it can be exported.

Shapes: B images of the batch, Q queries, K classes, N objects of all images.
"""

import warnings
from typing import Any

import torch
import torch.nn.functional as F
from mmdet.models import Mask2FormerHead
from torch import Tensor

from ..errors import UserError
from .deformable_attention import gather_in_attention
from .detector_graph import NO_OBJECT, DetectorGraph, Tensors, list_objects, select_top_scores


class Mask2FormerGraph(DetectorGraph):
    """mmdet's Mask2Former for instances, as a module to trace.

    Boxes and scores are computed from the masks at the size of the input. With ``class_scores``
    and the masks, they can be computed at another size.
    """

    output_names = (*DetectorGraph.output_names, 'masks', 'class_scores')
    mask_type = 'crop'

    def __init__(self, model: Any):
        super().__init__()
        cfg = model.test_cfg
        if not cfg.get('instance_on', False):
            raise UserError(
                'cannot export a Mask2Former that predicts no instances (test_cfg has '
                'instance_on=False, the default). Export supports instances: set '
                'test_cfg.instance_on=True'
            )
        if cfg.get('panoptic_on', True):
            warnings.warn(
                'panoptic segmentation (test_cfg.panoptic_on) is not exported: the file predicts '
                'instances only',
                stacklevel=2,
            )
        head = model.panoptic_head
        if not isinstance(head, Mask2FormerHead):
            raise UserError(
                f'cannot export a Mask2Former with {type(head).__name__}. Export supports '
                'Mask2FormerHead'
            )
        self.mask_stride = head.pixel_decoder.strides[0]
        self.model = model
        self.head = gather_in_attention(head)
        self.max_per_image = cfg.get('max_per_image', 100)

    def forward(self, images: Tensor) -> Tensors:
        """Predict the objects in images (B, 3, H, W): boxes (N, 4), scores, labels and image
        indices (N,), mask logits (N, h, w), class scores (N,).
        """
        all_logits, all_masks = self.head(self.extract_feature_maps(images), None)
        logits = all_logits[-1]  # of the last decoder layer
        masks = all_masks[-1]
        scores = logits.softmax(-1)[..., :-1].flatten(1)
        class_scores, order = select_top_scores(scores, self.max_per_image)
        num_classes = logits.shape[-1] - 1
        labels = order % num_classes
        queries = torch.div(order, num_classes, rounding_mode='floor')
        padded_size = self.pad(images).shape[-2:]
        resized = F.interpolate(masks, padded_size, mode='bilinear')
        boxes, mask_scores = describe_masks(resized[..., : images.shape[-2], : images.shape[-1]])
        is_thing = labels < self.head.num_things_classes
        scores = class_scores * mask_scores.gather(1, queries)
        scores = scores.masked_fill(~is_thing, NO_OBJECT)
        image, index, top_scores = list_objects(scores, self.max_per_image)
        query = queries[image, index]
        return (
            boxes[image, query],
            top_scores,
            labels[image, index],
            image,
            masks[image, query],
            class_scores[image, index],
        )


def describe_masks(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return boxes around masks (B, Q, H, W) of logits, (B, Q, 4), and mean probabilities of their
    pixels, (B, Q).
    """
    inside = (logits > 0).to(logits.dtype)
    scores = (logits.sigmoid() * inside).sum((2, 3)) / (inside.sum((2, 3)) + 1e-6)
    begins = []
    ends = []
    for dim in (2, 3):
        is_inside = logits.amax(dim) > 0  # columns, then rows
        indices = torch.arange(is_inside.shape[2], device=logits.device, dtype=logits.dtype)
        end = (indices + 1).masked_fill(~is_inside, 0).amax(2)
        # An empty mask gets the box [0, 0, 0, 0].
        begins.append(torch.minimum(torch.where(is_inside, indices, end.unsqueeze(2)).amin(2), end))
        ends.append(end)
    return torch.stack([*begins, *ends], dim=-1), scores
