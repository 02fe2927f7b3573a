"""Multi-scale deformable attention (Zhu et al., Deformable DETR, equation 3) by gathering pixels,
for an export.

mmcv's function takes the sizes of the maps as integers, which a trace makes constants, and its
GridSample gives wrong results in TensorRT (NVIDIA/TensorRT#4813).

Shapes: B batch, S pixels of all levels, C = nH * d channels, nH heads, Q queries, L levels, P
    points of a head.
"""

import torch
from mmcv.ops import MultiScaleDeformableAttention
from torch import Tensor, nn

from .replacing import replace_modules


def attend_by_gathering(
    value: Tensor, spatial_shapes: Tensor, locations: Tensor, weights: Tensor
) -> Tensor:
    """Compute mmcv's ``multi_scale_deformable_attn_pytorch`` for sizes in a tensor. Return (B, Q,
    nH * d).

    ``value`` is (B, S, nH, d), ``spatial_shapes`` (L, 2) = [height, width], ``locations`` (B, Q,
    nH, L, P, 2) = [x, y], where 0 to 1 is the whole map, and ``weights`` (B, Q, nH, L, P).
    """
    batch, num_pixels, heads, channels = value.shape
    areas = spatial_shapes.prod(1)
    # In float32, since TensorRT has no CumSum of integers.
    starts = areas.float().cumsum(0).long() - areas
    # [start, height, width] of each sampling point's level, (L * P, 3). OpenVINO 2026.4 needs at
    # most 6 dimensions.
    levels = torch.cat([starts.unsqueeze(1), spatial_shapes], dim=1)
    points = levels.unsqueeze(1).expand(-1, weights.shape[4], -1).flatten(0, 1)
    starts, heights, widths = points.unsqueeze(-1).unbind(1)  # (L * P, 1) each
    limits = torch.cat([widths, heights], dim=1).to(value.dtype)
    positions = locations.flatten(3, 4) * limits - 0.5
    # A point lies between two columns and two rows. At the map's edge, take the outermost two.
    first = torch.minimum(positions.floor(), limits - 2).clamp(min=0)
    # (B, Q, nH, L * P, 2, 2): x and y of the first and second pixel.
    both = torch.stack([first, first + 1], dim=-1)
    limits = limits.unsqueeze(-1)
    # Bilinear weights, 0 for pixels further away than 1, and outside of a map that is only one
    # pixel wide or high.
    linear = (1 - (positions.unsqueeze(-1) - both).abs()).clamp(min=0) * (both < limits)
    x, y = torch.minimum(both, limits - 1).long().unbind(-2)
    pixels = (starts + y * widths).unsqueeze(-1) + x.unsqueeze(-2)
    images = torch.arange(batch, device=value.device).reshape(-1, 1, 1, 1)
    head_indices = torch.arange(heads, device=value.device).unsqueeze(-1)
    rows = (images * num_pixels + pixels.flatten(3)) * heads + head_indices
    linear = linear[..., 1, :, None] * linear[..., 0, None, :] * weights.flatten(3)[..., None, None]
    # In ONNX this is a Gather of whole rows, faster than GatherElements.
    gathered = value.reshape(-1, channels)[rows]
    return (linear.flatten(3).unsqueeze(-2) @ gathered).flatten(2)


def gather_in_attention(module: nn.Module) -> nn.Module:
    """Return a copy of a module, with the same parameters, whose deformable attention gathers
    pixels.
    """
    return replace_modules(module, MultiScaleDeformableAttention, GatheringAttention)


class GatheringAttention(nn.Module):
    """mmcv's ``MultiScaleDeformableAttention`` with batches first, in eval mode, by
    :func:`attend_by_gathering`.
    """

    def __init__(self, attention: MultiScaleDeformableAttention):
        super().__init__()
        self.attention = attention

    def forward(
        self,
        query: Tensor,
        value: Tensor,
        reference_points: Tensor,
        spatial_shapes: Tensor,
        **inputs: Tensor,
    ) -> Tensor:
        """Attend with queries (B, Q, C) and their ``query_pos`` to values (B, S, C). Return the
        updated queries.

        ``reference_points`` are (B, Q, L, 2 or 4): points, or boxes [x, y, w, h].
        ``key_padding_mask`` is (B, S).
        """
        own = self.attention
        shape = *query.shape[:2], own.num_heads, own.num_levels, -1
        value = own.value_proj(value).masked_fill(inputs['key_padding_mask'].unsqueeze(-1), 0.0)
        positioned = query + inputs['query_pos']
        offsets = own.sampling_offsets(positioned).view(*shape, 2)
        weights = own.attention_weights(positioned).view(*shape[:3], -1).softmax(-1).view(shape)
        references = reference_points.unsqueeze(2).unsqueeze(4)
        if reference_points.shape[-1] == 2:
            locations = references + offsets / spatial_shapes.flip(1).unsqueeze(1)
        else:
            locations = references[..., :2] + offsets / own.num_points * references[..., 2:] * 0.5
        value = value.view(*value.shape[:2], own.num_heads, -1)
        attended = attend_by_gathering(value, spatial_shapes, locations, weights)
        return own.output_proj(attended) + query
