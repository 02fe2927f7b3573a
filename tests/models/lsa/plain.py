"""A reference LSA written for clarity: it uses the weights of a model and none of its code.

Every shifted copy has its own convolution, keys and values, and attention is computed by matrix
products. It reads weights and settings of the model's layers, but calls none of them.
"""

import torch
import torch.nn.functional as F

from ..gcvit.plain import PlainBackbone, layer_norm, linear, run_mlp


def shift(images, dy, dx, mode):
    """Move the content of images (B, C, H, W) down and to the right."""
    if mode == 'circular':
        return images.roll((dy, dx), dims=(2, 3))
    height, width = images.shape[2:]
    rows = torch.arange(height, device=images.device) - dy
    columns = torch.arange(width, device=images.device) - dx
    return images[:, :, mirrored(rows, height)][:, :, :, mirrored(columns, width)]


def mirrored(places, length):
    """Reflect indices beyond the first and last position."""
    places = places.abs()
    return torch.where(places < length, places, 2 * (length - 1) - places)


def heads(x, num_heads):
    """Split heads: (B, ..., N, C) to (B, ..., nH, N, d)."""
    return x.unflatten(-1, (num_heads, -1)).transpose(-2, -3)


def attention(attn, queries, others):
    """Attend from queries (..., Q, C) to keys (..., K, C); return (..., Q, C)."""
    q = heads(linear(attn.q, queries), attn.num_heads)
    k, v = (heads(x, attn.num_kv_heads) for x in linear(attn.kv, others).chunk(2, -1))
    k, v = (x.repeat_interleave(attn.num_heads // attn.num_kv_heads, dim=-3) for x in (k, v))
    weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
    return linear(attn.proj, (weights @ v).transpose(-2, -3).flatten(-2))


def add_position(position, x):
    """Add the position embedding, resized, to a map (B, H, W, C) or copies (T, B, H, W, C)."""
    images = position.pos_embed.mT.reshape(-1, x.shape[-1], *position.grid)
    images = F.interpolate(images, size=x.shape[-3:-1], mode='bicubic', align_corners=False)
    embedding = images.permute(0, 2, 3, 1)  # (T, H, W, C), or (1, H, W, C)
    return x + (embedding.unsqueeze(1) if x.ndim == 5 else embedding)


class PlainLSA(PlainBackbone):
    """The plain formulation of LSA, without windows."""

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
                tokens = normed.flatten(1, 2)
                x = x + attention(block.attn, tokens, tokens).view_as(x)
            x = x + run_mlp(block.mlp, layer_norm(stage.norm2, x))
        return x

    def downsample(self, downsampler, x):
        conv = downsampler.conv
        x = F.conv2d(x.permute(0, 3, 1, 2), conv.weight, conv.bias, padding=1)
        x = layer_norm(downsampler.norm, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return F.max_pool2d(x, 3, stride=2, padding=1).permute(0, 2, 3, 1)
