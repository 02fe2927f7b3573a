"""Implement mmdet's DINO (Zhang et al., 4 or more feature maps) so that it can be exported.

Shapes: B images of the batch, S pixels of all L feature maps, C channels, Q queries, K classes, N
    objects of all images.
"""

from typing import Any

import torch
from mmdet.models import DINOHead
from torch import Tensor
from torch.onnx.operators import shape_as_tensor

from ..errors import UserError
from .deformable_attention import gather_in_attention
from .detector_graph import (
    DetectorGraph,
    Tensors,
    clip_boxes,
    gather_rows,
    list_objects,
    select_top_scores,
)

# Logit of the coordinates of pixels without a proposal. mmdet uses infinity, whose sigmoid is 1
# too.
NO_PROPOSAL = 1000.0
# The methods of DINOHead that this module implements or calls; DDQ's and Grounding DINO's heads
# have others.
PREDICTING = ('forward', 'predict', 'predict_by_feat')


class DINOGraph(DetectorGraph):
    """mmdet's DINO for tracing.

    Read its ``forward``, then the methods below in the order of their calls.
    """

    def __init__(self, model: Any):
        super().__init__()
        head = model.bbox_head
        # A subclass may differ in the training, as with another loss.
        predicts_alike = all(
            getattr(type(head), name, None) is getattr(DINOHead, name) for name in PREDICTING
        )
        if not predicts_alike or not head.loss_cls.use_sigmoid:
            raise UserError(
                f'cannot export {type(model).__name__} with {type(head).__name__} and '
                f'loss_cls.use_sigmoid={head.loss_cls.use_sigmoid}. Export supports DINO with '
                'DINOHead and loss_cls.use_sigmoid=True'
            )
        self.num_queries = model.num_queries
        self.model = gather_in_attention(model)

    def forward(self, images: Tensor) -> Tensors:
        """Predict the objects in images (B, 3, H, W): boxes (N, 4), scores, labels and image
        indices (N,).
        """
        size = shape_as_tensor(images)[-2:]
        padded_size = shape_as_tensor(self.pad(images))[-2:]
        boxes, scores = self.run_transformer(self.extract_feature_maps(images), size, padded_size)
        num_classes = scores.shape[-1]
        max_objects = self.model.bbox_head.test_cfg.get('max_per_img', self.num_queries)
        image, index, top_scores = list_objects(scores.flatten(1), max_objects)
        query = torch.div(index, num_classes, rounding_mode='floor')
        centres, sides = boxes[image, query].split(2, dim=-1)
        corners = torch.cat([centres - 0.5 * sides, centres + 0.5 * sides], dim=-1)
        boxes = clip_boxes(corners * size.flip(0).repeat(2), size)
        return boxes, top_scores, index % num_classes, image

    def run_transformer(
        self, feature_maps: Tensors, size: Tensor, padded_size: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return boxes (B, Q, 4) = [cx, cy, w, h], where 1 is the image's side, and scores (B, Q,
        K).
        """
        model = self.model
        centres = []
        padding = []
        all_ratios = []
        positions = []
        shapes = []
        for feature_map, embed in zip(feature_maps, model.level_embed, strict=True):
            points, mask, ratio = locate_pixels(feature_map, size, padded_size)
            centres.append(points)
            padding.append(mask.flatten(1))
            all_ratios.append(ratio)
            positions.append(model.positional_encoding(mask).flatten(2) + embed.unsqueeze(1))
            shapes.append(shape_as_tensor(feature_map)[-2:])
        ratios = torch.stack(all_ratios).unsqueeze(0)
        inputs = {
            'key_padding_mask': torch.cat(padding, dim=1),
            'spatial_shapes': torch.stack(shapes),
        }
        query_pos = torch.cat(positions, dim=2).transpose(1, 2)
        # A pixel's centre in every level, as a share of the level's side with padding: (1, S, L,
        # 2).
        points = torch.cat(centres).reshape(1, -1, 1, 2) * ratios.unsqueeze(1)
        memory = torch.cat([x.flatten(2) for x in feature_maps], dim=2).transpose(1, 2)
        for layer in model.encoder.layers:
            memory = layer(memory, query_pos=query_pos, reference_points=points, **inputs)
        query, boxes = self.select_queries(memory, centres, inputs['key_padding_mask'])
        hidden_states, references = model.decoder(
            query=query,
            value=memory,
            self_attn_mask=None,
            reference_points=boxes,
            level_start_index=None,
            valid_ratios=ratios,
            reg_branches=model.bbox_head.reg_branches,
            **inputs,
        )
        logits, boxes = model.bbox_head(hidden_states, list(references))
        return boxes[-1], logits[-1].sigmoid()

    def select_queries(
        self, memory: Tensor, centres: list[Tensor], padding: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return queries (B, Q, C) and their boxes (B, Q, 4): the highest-scoring proposals of the
        encoder.

        ``memory`` is (B, S, C), ``padding`` (1, S). If the image has fewer pixels than the model
        has queries, Q is S.
        """
        model = self.model
        last = model.decoder.num_layers
        sides = [torch.full_like(points, 0.05 * 2.0**level) for level, points in enumerate(centres)]
        proposals = torch.cat([torch.cat(centres), torch.cat(sides)], dim=1)  # (S, 4)
        is_inside = ((proposals > 0.01) & (proposals < 0.99)).all(1)
        no_proposal = (padding | ~is_inside).unsqueeze(-1)
        memory = model.memory_trans_fc(memory.masked_fill(no_proposal, 0.0))
        memory = model.memory_trans_norm(memory)
        logits = torch.log(proposals / (1 - proposals)).masked_fill(no_proposal, NO_PROPOSAL)
        logits = logits + model.bbox_head.reg_branches[last](memory)
        scores = model.bbox_head.cls_branches[last](memory).amax(-1)
        _, order = select_top_scores(scores, self.num_queries)
        query = model.query_embedding.weight[: order.shape[1]]
        query = query.unsqueeze(0).expand(order.shape[0], -1, -1)
        return query, gather_rows(logits, order).sigmoid()


def locate_pixels(
    feature_map: Tensor, size: Tensor, padded_size: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the pixels of a feature map (B, C, h, w) are in an image of ``size`` (2,) =
    [height, width].

    These are centres (h * w, 2) = [x, y], where 1 is the image's side without padding; whether
    pixels are padding, (1, h, w); and the share of the map's width and height that is not padding,
    (2,).
    """
    centres = []
    are_inside = []
    ratios = []
    for axis, side in enumerate(shape_as_tensor(feature_map)[-2:]):
        indices = torch.arange(feature_map.shape[axis + 2], device=feature_map.device)
        # mmdet resizes the mask of the padding with F.interpolate in the mode nearest.
        is_inside = (indices * (padded_size[axis] / side)).floor() < size[axis]
        num_inside = is_inside.sum()
        centres.append((indices + 0.5) / num_inside)
        are_inside.append(is_inside)
        ratios.append(num_inside / side)
    y, x = torch.meshgrid(*centres, indexing='ij')
    points = torch.stack([x, y], dim=-1).reshape(-1, 2)
    is_inside = are_inside[0].unsqueeze(1) & are_inside[1]
    return points, ~is_inside.unsqueeze(0), torch.stack(ratios[::-1])
