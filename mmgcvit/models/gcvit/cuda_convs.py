"""Convolutions that choose another kernel than torch on CUDA, because cuDNN's would stall at each
new image size.

They are nn.Conv2d in everything else, and take its arguments. The network has them as it is built,
so that all users do. Kernels that are merely faster are in ../speed_up.py.

Shapes: B batch, H x W feature map, C channels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.layouts import nchw_to_nhwc, nhwc_to_nchw


class DepthwiseConv2d(nn.Conv2d):
    """Convolution of each channel on its own: (B, C, H, W) to (B, C, H, W).

    On CUDA the map is contiguous for the convolution, so that torch uses its own kernel, and
    channels-last after it. For channels-last maps torch uses cuDNN, which compiles a plan for each
    new shape (from 9.10 on; cudnn-frontend#1066, timm#2612): 5 to 7 seconds for a step at a new
    size. cuDNN's kernels are faster, so they are used in training where
    ``torch.backends.cudnn.benchmark`` is on, by which users say that all training images have one
    size. In validation and tests, sizes differ in segmentation.
    """

    def forward(self, x: Tensor) -> Tensor:
        uses_cudnn = self.training and torch.backends.cudnn.benchmark
        if x.is_cuda and not uses_cudnn:
            return super().forward(x.contiguous()).contiguous(memory_format=torch.channels_last)
        return super().forward(x)


class PointwiseConv2d(nn.Conv2d):
    """1x1 convolution without bias: (B, C, H, W) to (B, C_out, H, W).

    On CUDA it is a matrix product, which needs no plan of cuDNN's.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.is_cuda:
            return nhwc_to_nchw(F.linear(nchw_to_nhwc(x), self.weight.flatten(1)))
        return super().forward(x)
