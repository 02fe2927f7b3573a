"""Embed the patches of an image and of its shifted copies (paper, section 3.1).

Shapes: B batch, H x W image in pixels, h x w patches, T copies of the image, C channels of a
    token.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.layouts import nchw_to_nhwc
from ..layers.padding import pad_images
from .archs import LSAArch, Shifts


class ShiftedPatchEmbedding(nn.Module):
    """Embed each patch of T shifted copies of an image as a token: (B, in_channels, H, W) to (T, B,
    h, w, C), or without shifts to (B, h, w, C).

    Images are zero-padded on the right and at the bottom to multiples of the stride.
    """

    def __init__(self, in_channels: int, arch: LSAArch):
        super().__init__()
        self.stride = arch.stride
        self.shifts = arch.shifts
        self.shift_mode = arch.shift_mode
        num_convs = 1 if arch.shifts is None or arch.shared_conv else len(arch.shifts)
        self.convs = nn.ModuleList(
            nn.Conv2d(in_channels, arch.embed_dims[0], arch.kernel_size, arch.stride, arch.padding)
            for _ in range(num_convs)
        )

    def forward(self, images: Tensor) -> Tensor:
        images = pad_images(images, self.stride)
        if self.shifts is None:
            (conv,) = self.convs
            return nchw_to_nhwc(conv(images))
        copies = make_shifted_copies(images, self.shifts, self.shift_mode)
        is_shared = len(self.convs) == 1
        maps = []  # (B, C, h, w) each
        for i, copy in enumerate(copies):
            conv = self.convs[0] if is_shared else self.convs[i]
            maps.append(conv(copy))
        return torch.stack(maps).permute(0, 1, 3, 4, 2)


def make_shifted_copies(images: Tensor, shifts: Shifts, shift_mode: str) -> list[Tensor]:
    """Return a copy of images (B, C, H, W) for each shift (dy, dx). The copies are views of one
    padded tensor.

    Positive shifts move the content down and to the right. ``shift_mode`` is a padding mode of
    ``F.pad``. Shifts are shorter than the sides of the images.
    """
    height, width = images.shape[2:]
    margin = max(abs(step) for shift in shifts for step in shift)
    padded = F.pad(images, (margin,) * 4, mode=shift_mode)
    padded = padded.contiguous(memory_format=torch.channels_last)
    copies = []
    for dy, dx in shifts:
        top = margin - dy
        left = margin - dx
        copies.append(padded[:, :, top : top + height, left : left + width])
    return copies
