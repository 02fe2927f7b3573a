"""A reference LSA written for clarity: it uses the weights of a model and none of its code.

Every shifted copy has its own convolution, keys and values, and attention is computed by matrix
products. It reads weights and settings of the model's layers, but calls none of them.
"""

import torch
import torch.nn.functional as F

from ..gcvit.plain import (
    PlainBackbone,
    attend_in_windows,
    layer_norm,
    linear,
    run_mlp,
    split,
    weigh,
)


def shift(images, dy, dx, mode):
    """Move the content of images (B, C, H, W) down and to the right."""
    height, width = images.shape[2:]
    rows = find_sources(height, dy, mode)
    columns = find_sources(width, dx, mode)
    return images[:, :, rows][:, :, :, columns]


def find_sources(length, step, mode):
    """Return the position from which each one gets its content: from the other end, or mirrored."""
    places = torch.arange(length) - step
    if mode == 'circular':
        return places % length
    places = places.abs()
    return torch.where(places < length, places, 2 * (length - 1) - places)


def attention(attn, queries, others):
    """Attend from queries (..., Q, C) to keys (..., K, C); return (..., Q, C)."""
    (q,) = split(linear(attn.q, queries), 1, attn.num_heads)
    group_size = attn.num_heads // attn.num_kv_heads
    keys_and_values = split(linear(attn.kv, others), 2, attn.num_kv_heads)
    return weigh(attn, q, *(x.repeat_interleave(group_size, dim=-3) for x in keys_and_values))


def self_attention(attn, x):
    """Attend in the windows of a map (B, H, W, C): as many as the largest window needs, and as
    equal as possible.
    """
    size = x.shape[1:3]
    limits = zip(size, attn.window_size or size, strict=True)
    window = [-(-side // -(-side // largest)) for side, largest in limits]
    return attend_in_windows(x, window, lambda tokens: attention(attn, tokens, tokens))


def add_position(position, x):
    """Add the position embedding, resized, to a map (B, H, W, C) or copies (T, B, H, W, C)."""
    images = position.pos_embed.mT.reshape(-1, x.shape[-1], *position.grid)
    images = F.interpolate(images, size=x.shape[-3:-1], mode='bicubic', align_corners=False)
    embedding = images.permute(0, 2, 3, 1)  # (T, H, W, C), or (1, H, W, C)
    return x + (embedding.unsqueeze(1) if x.ndim == 5 else embedding)


class PlainLSA(PlainBackbone):
    """The plain formulation of LSA."""

    def embed(self, stem, images):
        """Embed images (B, 3, H, W) as tokens (B, H, W, C), and shifted copies as (T, B, H, W, C)."""
        images = F.pad(
            images, (0, -images.shape[3] % stem.stride, 0, -images.shape[2] % stem.stride)
        )
        maps = []
        for i, (dy, dx) in enumerate(stem.shifts or [(0, 0)]):
            conv = stem.convs[i % len(stem.convs)]
            copy = shift(images, dy, dx, stem.shift_mode)
            x = F.conv2d(copy, conv.weight, conv.bias, stride=stem.stride, padding=conv.padding)
            maps.append(x.permute(0, 2, 3, 1))
        return torch.stack(maps) if stem.shifts else maps[0]

    def run_stage(self, stage, x):
        """Apply a stage to a map (B, H, W, C) or shifted copies (T, B, H, W, C)."""
        x = add_position(stage.position, x)
        for block in stage.blocks:
            normed = layer_norm(stage.norm1, x)
            if x.ndim == 5:
                copies = normed.movedim(0, 3)  # (B, H, W, T, C)
                x = x[0] + attention(block.attn, copies[..., :1, :], copies).squeeze(3)
            else:
                x = x + self_attention(block.attn, normed)
            x = x + run_mlp(block.mlp, layer_norm(stage.norm2, x))
        return x

    def downsample(self, downsampler, x):
        conv = downsampler.conv
        x = F.conv2d(x.permute(0, 3, 1, 2), conv.weight, conv.bias, padding=1)
        x = layer_norm(downsampler.norm, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return F.max_pool2d(x, 3, stride=2, padding=1).permute(0, 2, 3, 1)
