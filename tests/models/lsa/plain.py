"""A reference LSA written for clarity: it uses the weights of a model and none of its code.

Every shifted copy has its own convolution, keys and values, and attention is computed by matrix
products. It reads weights and settings of the model's layers, but calls none of them.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ..gcvit.plain import layer_norm, linear


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


def patches(stem, conv, images):
    """Apply one convolution to images (B, 3, H, W); return (B, C, h, w)."""
    return F.conv2d(images, conv.weight, conv.bias, stride=stem.stride, padding=conv.padding)


def add_position(position, x, size):
    """Add the position embedding, resized to the map, to tokens (..., N, C)."""
    embedding = position.pos_embed
    if position.grid != size:
        images = embedding.transpose(-1, -2).reshape(-1, x.shape[-1], *position.grid)
        images = F.interpolate(images, size=size, mode='bicubic', align_corners=False)
        tokens = images.flatten(2).transpose(1, 2)
        embedding = tokens.reshape(*embedding.shape[:-2], -1, x.shape[-1])
    return x + embedding.unsqueeze(-3)


class PlainLSA(nn.Module):
    """Compute the output of the LSA ``model`` from its weights, without drop path or windows."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        model, stem = self.model, self.model.stem
        right, below = -images.shape[3] % stem.stride, -images.shape[2] % stem.stride
        images = F.pad(images, (0, right, 0, below))
        x, size = self.embed(images)
        maps = []
        for i, stage in enumerate(model.stages):
            if i:
                x, size = self.downsample(model.downsamplers[i - 1], x, size)
            x = self.run_stage(stage, x, size)
            if i in model.out_indices:
                normed = layer_norm(model.get_submodule(f'norm{i}'), x)
                maps.append(normed.transpose(1, 2).unflatten(2, size))
        return tuple(maps)

    def embed(self, images):
        """Embed images (B, 3, H, W) as tokens (B, N, C), and shifted copies as (T, B, N, C)."""
        stem = self.model.stem
        if stem.shifts is None:
            x = patches(stem, stem.convs[0], images)
            return x.flatten(2).transpose(1, 2), tuple(x.shape[2:])
        copies = []
        for i, (dy, dx) in enumerate(stem.shifts):
            conv = stem.convs[i % len(stem.convs)]
            copies.append(patches(stem, conv, shift(images, dy, dx, stem.shift_mode)))
        tokens = torch.stack(copies).flatten(3).transpose(2, 3)
        return tokens, tuple(copies[0].shape[2:])

    def run_stage(self, stage, x, size):
        """Apply one block to tokens (B, N, C) or shifted copies (T, B, N, C); return (B, N, C)."""
        x = add_position(stage.position, x, size)
        for block in stage.blocks:
            if x.ndim == 4:
                normed = layer_norm(stage.norm1, x).permute(1, 2, 0, 3)  # (B, N, T, C)
                x = x[0] + attention(block.attn, normed[:, :, :1], normed).squeeze(2)
            else:
                normed = layer_norm(stage.norm1, x)
                x = x + attention(block.attn, normed, normed)
            x = x + linear(block.mlp.fc2, F.gelu(linear(block.mlp.fc1, layer_norm(stage.norm2, x))))
        return x

    def downsample(self, downsampler, x, size):
        x, conv = x.transpose(1, 2).unflatten(2, size), downsampler.conv
        x = F.conv2d(x, conv.weight, conv.bias, padding=1)
        x = layer_norm(downsampler.norm, x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        return x.flatten(2).transpose(1, 2), tuple(x.shape[2:])
