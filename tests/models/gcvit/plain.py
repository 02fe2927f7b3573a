"""A reference GC ViT written for clarity: it uses the weights of a model and none of its code.

The bias is gathered pair by pair of tokens, the global query repeated for every window, attention
made of plain products, each step a tensor of its own.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import nn


def partition(x, window):
    """Split a map (B, H, W, C) into windows (B*nW, N, C), image by image, row by row."""
    h, w = window
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // h, h, width // w, w, channels)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, h * w, channels)


def merge_windows(windows, window, shape):
    """Merge windows (B*nW, N, C) into their map (B, H, W, C), of this shape."""
    batch, height, width, _ = shape
    h, w = window
    x = windows.reshape(batch, height // h, width // w, h, w, -1)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(shape)


def position_bias(position):
    """Return the bias (nH, N, N): for each pair of tokens the table row of their offset."""
    h, w = position.window_size
    y = torch.arange(h).repeat_interleave(w)
    x = torch.arange(w).repeat(h)
    rows = (y[:, None] - y + h - 1) * (2 * w - 1) + (x[:, None] - x + w - 1)
    table = position.relative_position_bias_table
    return table[rows.to(table.device)].permute(2, 0, 1)


def attend_in_windows(x, window, attend):
    """Apply a function to the windows (B*nW, N, C) of a map (B, H, W, C), zero-padded."""
    height, width = x.shape[1:3]
    padded = F.pad(x, (0, 0, 0, -width % window[1], 0, -height % window[0]))
    attended = attend(partition(padded, window))
    return merge_windows(attended, window, padded.shape)[:, :height, :width]


def attention(attn, windows, q_global):
    """Attend in windows (B*nW, N, C), with local queries or the image's global queries (B, nH, N,
    d).
    """
    if hasattr(attn, 'qkv'):
        q, k, v = split(linear(attn.qkv, windows), 3, attn.num_heads)
    else:
        k, v = split(linear(attn.kv, windows), 2, attn.num_heads)
        q = q_global.repeat_interleave(len(windows) // len(q_global), dim=0)
    return weigh(attn, q, k, v, position_bias(attn.position))


def split(x, chunks, num_heads):
    """Split (..., N, chunks*C) into ``chunks`` tensors (..., nH, N, d)."""
    return [part.unflatten(-1, (num_heads, -1)).transpose(-2, -3) for part in x.chunk(chunks, -1)]


def weigh(attn, q, k, v, bias=0):
    """Return the weighted sums of values (..., nH, N, d), merged and projected: (..., N, C)."""
    weights = (q @ k.mT * q.shape[-1] ** -0.5 + bias).softmax(-1)
    return linear(attn.proj, (weights @ v).transpose(-2, -3).flatten(-2))


def linear(layer, x):
    return F.linear(x, layer.weight, layer.bias)


def scaled(residual, branch):
    """Apply layer scale if the model has it."""
    return branch * getattr(residual.layer_scale, 'gamma', 1)


def run_mlp(mlp, x):
    return linear(mlp.fc2, F.gelu(linear(mlp.fc1, x)))


def run_block(block, x, q_global):
    attend = partial(attention, block.attn, q_global=q_global)
    attended = attend_in_windows(layer_norm(block.norm1, x), block.attn.window_size, attend)
    x = x + scaled(block.attn_residual, attended)
    return x + scaled(block.mlp_residual, run_mlp(block.mlp, layer_norm(block.norm2, x)))


def layer_norm(norm, x):
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def fused_mbconv(conv, x):
    """Apply FusedMBConv to (B, C, H, W)."""
    found = F.gelu(F.conv2d(x, conv.depthwise.weight, padding=1, groups=x.shape[1]))
    squeezed = F.gelu(found.mean((2, 3)) @ conv.squeeze_excite.squeeze.weight.T)
    weights = (squeezed @ conv.squeeze_excite.excite.weight.T).sigmoid()
    return x + F.conv2d(found * weights[:, :, None, None], conv.pointwise.weight)


def global_query(generator, x):
    """Pool a map (B, H, W, C) to the global queries (B, nH, N, d) of one window."""
    x = x.permute(0, 3, 1, 2).contiguous()
    for extractor in generator.extractors:
        x = fused_mbconv(extractor.conv, x)
        if isinstance(extractor.pool, nn.MaxPool2d):
            x = F.max_pool2d(x, 3, stride=2, padding=1)
    x = F.interpolate(x, size=generator.window_size, mode='bicubic', align_corners=False)
    (queries,) = split(x.flatten(2).transpose(1, 2), 1, generator.num_heads)
    return queries


class PlainBackbone(nn.Module):
    """Base class of networks that compute the output of a ``model`` from its weights, without drop
    path.
    """

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        model = self.model
        x = self.embed(self.model.stem, images)
        maps = []
        for i, stage in enumerate(model.stages):
            if i:
                x = self.downsample(model.downsamplers[i - 1], x)
            x = self.run_stage(stage, x)
            if i in model.out_indices:
                norm = model.get_submodule(f'norm{i}')
                maps.append(layer_norm(norm, x).permute(0, 3, 1, 2).contiguous())
        return tuple(maps)


class PlainGCViT(PlainBackbone):
    """The plain formulation of GCViT."""

    def embed(self, stem, images):
        x = F.conv2d(images, stem.proj.weight, stem.proj.bias, stride=2, padding=1)
        return self.downsample(stem.downsample, x.permute(0, 2, 3, 1))

    def run_stage(self, stage, x):
        q_global = global_query(stage.global_query, x)
        for block in stage.blocks:
            x = run_block(block, x, q_global)
        return x

    def downsample(self, downsampler, x):
        """Downsample (B, H, W, C) to (B, H/2, W/2, C_out)."""
        x = layer_norm(downsampler.norm_in, x).permute(0, 3, 1, 2).contiguous()
        x = fused_mbconv(downsampler.conv, x)
        x = F.conv2d(x, downsampler.reduction.weight, stride=2, padding=1)
        return layer_norm(downsampler.norm_out, x.permute(0, 2, 3, 1))
