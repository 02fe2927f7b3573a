"""Implement mmdet's detectors without RoI heads, so that they can be exported: DINO, Mask2Former
and RTMDet-Ins.

Shapes: B images of the batch, S pixels of all L levels, C channels, Q queries, K classes, N
    objects, D parameters of an object's mask head (RTMDet-Ins).
"""

import torch
import torch.nn.functional as F
from mmdet.models.task_modules import DistancePointBBoxCoder
from torch import Tensor, nn
from torch.onnx.operators import shape_as_tensor

from ..errors import UserError
from ..models.layers.padding import pad_images
from .deformable_attention import gather_in_attention
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

# Logit of the coordinates of pixels without a proposal. mmdet uses infinity, whose sigmoid is 1
# too.
NO_PROPOSAL = 1000.0


class DINOGraph(DetectorGraph):
    """mmdet's DINO for tracing.

    Read its ``forward``, then the methods below in the order of their calls.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model, with_masks=False)
        if not model.bbox_head.loss_cls.use_sigmoid:
            raise UserError(
                'cannot export a DINO with softmax scores. Export supports '
                'loss_cls.use_sigmoid=True'
            )
        self.model = gather_in_attention(model)

    def forward(self, images: Tensor) -> Tensors:
        """Predict the objects in images (B, 3, H, W): boxes (N, 4), scores, labels and image
        indices (N,).
        """
        size = shape_as_tensor(images)[-2:]
        padded_size = shape_as_tensor(pad_images(images, self.size_divisor))[-2:]
        boxes, scores = self.run_transformer(self.extract_feature_maps(images), size, padded_size)
        num_classes, max_objects = scores.shape[-1], self.model.bbox_head.test_cfg.max_per_img
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
        centres, padding, ratios, positions, shapes = [], [], [], [], []
        for feature_map, embed in zip(feature_maps, model.level_embed, strict=True):
            points, mask, ratio = locate_pixels(feature_map, size, padded_size)
            centres.append(points)
            padding.append(mask.flatten(1))
            ratios.append(ratio)
            positions.append(model.positional_encoding(mask).flatten(2) + embed.unsqueeze(1))
            shapes.append(shape_as_tensor(feature_map)[-2:])
        ratios = torch.stack(ratios).unsqueeze(0)
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
        model, last = self.model, self.model.decoder.num_layers
        sides = [torch.full_like(points, 0.05 * 2.0**level) for level, points in enumerate(centres)]
        proposals = torch.cat([torch.cat(centres), torch.cat(sides)], dim=1)  # (S, 4)
        is_inside = ((proposals > 0.01) & (proposals < 0.99)).all(1)
        no_proposal = (padding | ~is_inside).unsqueeze(-1)
        memory = model.memory_trans_fc(memory.masked_fill(no_proposal, 0.0))
        memory = model.memory_trans_norm(memory)
        logits = torch.log(proposals / (1 - proposals)).masked_fill(no_proposal, NO_PROPOSAL)
        logits = logits + model.bbox_head.reg_branches[last](memory)
        scores = model.bbox_head.cls_branches[last](memory).amax(-1)
        _, order = select_top_scores(scores, model.num_queries)
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
    centres, are_inside, ratios = [], [], []
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


class Mask2FormerGraph(DetectorGraph):
    """mmdet's Mask2Former for tracing."""

    def __init__(self, model: nn.Module) -> None:
        if not model.test_cfg.get('instance_on', False):
            raise UserError(
                'cannot export a Mask2Former for panoptic segmentation. Set '
                'test_cfg.instance_on=True'
            )
        stride = model.panoptic_head.pixel_decoder.strides[0]
        super().__init__(model, with_masks=True, mask_stride=stride)
        self.head = gather_in_attention(model.panoptic_head)
        self.max_per_image = model.test_cfg.get('max_per_image', 100)

    def forward(self, images: Tensor) -> Tensors:
        """Predict the objects in images (B, 3, H, W): boxes (N, 4), scores, labels, image indices
        (N,), mask logits.
        """
        all_logits, all_masks = self.head(self.extract_feature_maps(images), None)
        logits, masks = all_logits[-1], all_masks[-1]  # of the last decoder layer
        scores = logits.softmax(-1)[..., :-1].flatten(1)
        scores, order = select_top_scores(scores, self.max_per_image)
        num_classes = logits.shape[-1] - 1
        labels = order % num_classes
        queries = torch.div(order, num_classes, rounding_mode='floor')
        padded_size = pad_images(images, self.size_divisor).shape[-2:]
        resized = F.interpolate(masks, padded_size, mode='bilinear')
        boxes, mask_scores = describe_masks(resized[..., : images.shape[-2], : images.shape[-1]])
        scores = scores * mask_scores.gather(1, queries)
        is_thing = labels < self.head.num_things_classes
        scores = scores.masked_fill(~is_thing, NO_OBJECT)
        image, index, top_scores = list_objects(scores, self.max_per_image)
        query = queries[image, index]
        return boxes[image, query], top_scores, labels[image, index], image, masks[image, query]


def describe_masks(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return boxes around masks (B, Q, H, W) of logits, (B, Q, 4), and mean probabilities of their
    pixels, (B, Q).
    """
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


class RTMDetInsGraph(DetectorGraph):
    """mmdet's RTMDet-Ins for tracing. Read its ``forward``, then the methods below."""

    def __init__(self, model: nn.Module) -> None:
        coder = type(model.bbox_head.bbox_coder)
        unsupported = find_unsupported_nms(model.test_cfg.nms)
        if coder is not DistancePointBBoxCoder:
            unsupported.append(coder.__name__)
        if unsupported:
            raise UserError(f'cannot export an RTMDet-Ins with {", ".join(unsupported)}')
        stride = model.bbox_head.prior_generator.strides[0][0]
        super().__init__(model, with_masks=True, mask_stride=stride)
        self.head, self.cfg = model.bbox_head, model.test_cfg

    def forward(self, images: Tensor) -> Tensors:
        """Predict the objects in images (B, 3, H, W): boxes (N, 4), scores, labels, image indices
        (N,), mask logits.
        """
        size = shape_as_tensor(images)[-2:]
        logits, distances, kernels, mask_features = self.head(self.extract_feature_maps(images))
        sizes = [level.shape[-2:] for level in logits]
        grids = self.head.prior_generator.grid_priors
        priors = torch.cat(grids(sizes, device=images.device, with_stride=True))
        scores, labels, pixels = self.select_candidates(logits)
        distances = torch.cat([x.flatten(2) for x in distances], dim=2).transpose(1, 2)
        kernels = torch.cat([x.flatten(2) for x in kernels], dim=2).transpose(1, 2)
        points = priors[pixels][..., :2]
        top_left, bottom_right = gather_rows(distances, pixels).split(2, dim=-1)
        corners = torch.cat([points - top_left, points + bottom_right], dim=-1)
        boxes = clip_boxes(corners, size)
        if self.cfg.get('min_bbox_size', -1) >= 0:
            is_large = (boxes[..., 2:] - boxes[..., :2] > self.cfg.min_bbox_size).all(-1)
            scores = scores.masked_fill(~is_large, NO_OBJECT)
        # NonMaxSuppression takes the scores of every class.
        classes = torch.arange(logits[0].shape[1], device=labels.device)
        is_class = labels.unsqueeze(1) == classes.unsqueeze(1)
        scores = scores.unsqueeze(1).masked_fill(~is_class, NO_OBJECT)
        kept = apply_nms(boxes, scores, self.cfg.nms.iou_threshold, self.cfg.score_thr).amax(1)
        image, index, top_scores = list_objects(kept, self.cfg.max_per_img)
        pixels = pixels[image, index]
        masks = self.predict_masks(mask_features, kernels[image, pixels], priors[pixels], image)
        return boxes[image, index], top_scores, labels[image, index], image, masks

    def select_candidates(self, logits: Tensors) -> tuple[Tensor, Tensor, Tensor]:
        """Return the top scores of each level's logits (B, K, h, w), labels and pixels (0 to S -
        1), all (B, n).
        """
        levels, start = [], 0
        for level in logits:
            num_classes, height, width = level.shape[1:]
            scores = level.permute(0, 2, 3, 1).flatten(1).sigmoid()
            top_scores, order = select_top_scores(scores, self.cfg.get('nms_pre', -1))
            pixels = start + torch.div(order, num_classes, rounding_mode='floor')
            levels.append((top_scores, order % num_classes, pixels))
            start = start + height * width
        return tuple(torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))

    def predict_masks(
        self, features: Tensor, kernels: Tensor, priors: Tensor, image: Tensor
    ) -> Tensor:
        """Return mask logits (N, h, w), predicted from ``features`` (B, C, h, w) by a small network
        for each object.

        ``kernels`` (N, D) are the weights and biases of the networks, ``priors`` (N, 4) = [x, y,
        stride, stride].
        """
        head, size = self.head, features.shape[-2:]
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
