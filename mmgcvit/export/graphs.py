"""The graph of a model that is exported, and the names of its input and outputs; :mod:`.detector` has the detectors'.

Each task imports its own OpenMMLab package only.
"""

from copy import deepcopy
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..inference import Predictor
from ..models.layers.windows import ceil_div

INPUT = 'images'
# Dynamic dimensions by number.
DYNAMIC_INPUT = {0: 'batch', 2: 'height', 3: 'width'}


def build_graph(predictor: Predictor) -> nn.Module:
    """The graph of a model; a UserError if it has parts that cannot be exported.

    Its ``outputs`` are the names of its outputs, each with its dynamic dimensions by number.
    """
    if predictor.task == 'detection':
        from .detector import DetectorGraph

        return DetectorGraph(predictor.network).eval()
    graph = SegmentorGraph if predictor.task == 'segmentation' else ClassifierGraph
    return graph(predictor.network).eval()


class ClassifierGraph(nn.Module):
    """A classifier of mmpretrain: images (B, 3, H, W) to scores (B, K) after softmax."""

    outputs: ClassVar = {'scores': {0: 'batch'}}

    def __init__(self, model: nn.Module) -> None:
        from mmpretrain.models import ClsHead, ImageClassifier

        super().__init__()
        head = getattr(model, 'head', None)
        is_softmax = isinstance(head, ClsHead) and type(head)._get_predictions is ClsHead._get_predictions
        if not isinstance(model, ImageClassifier) or not is_softmax:
            raise UserError(
                f'the classifier is a {type(model).__name__} with the head {type(head).__name__}; exported is '
                'ImageClassifier with a head of one label by softmax, such as LinearClsHead'
            )
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images, mode='tensor').softmax(-1)


class SegmentorGraph(nn.Module):
    """A segmentor of mmseg: images (B, 3, H, W) to logits (B, K, H, W)."""

    outputs: ClassVar = {'logits': DYNAMIC_INPUT}

    def __init__(self, model: nn.Module) -> None:
        from mmseg.models import EncoderDecoder

        super().__init__()
        padding, head = getattr(model.data_preprocessor, 'test_cfg', None) or {}, getattr(model, 'decode_head', None)
        has_queries, is_binary = hasattr(head, 'pixel_decoder'), getattr(head, 'out_channels', 1) == 1
        is_padded, mode = bool(padding.get('size') or padding.get('size_divisor')), model.test_cfg.mode
        if type(model) is not EncoderDecoder or has_queries or is_binary or is_padded or mode != 'whole':
            raise UserError(
                f'the segmentor is a {type(model).__name__} with a {type(head).__name__}, tested in mode {mode!r}'
                f"{' with padding' if is_padded else ''}; exported is EncoderDecoder, tested in mode 'whole' without "
                'padding, by a head with a channel for each class, such as UPerHead'
            )
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = replace_pooling(model.decode_head)

    def forward(self, images: Tensor) -> Tensor:
        logits = self.head(self.neck(self.backbone(images)))
        return F.interpolate(logits, size=images.shape[2:], mode='bilinear', align_corners=self.head.align_corners)


def replace_pooling(module: nn.Module) -> nn.Module:
    """Copy a module, with adaptive average pooling that can be exported."""
    module = deepcopy(module)
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.AdaptiveAvgPool2d:
                setattr(parent, name, TraceablePooling(child.output_size))
    return module


class TraceablePooling(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as two matrix products: ONNX has no such operator for maps of any size."""

    def __init__(self, output_size: int | tuple[int, int]) -> None:
        super().__init__()
        self.output_size = output_size if isinstance(output_size, tuple) else (output_size, output_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, h, w)."""
        rows, columns = (
            compute_bin_weights(side, bins, x) for side, bins in zip(x.shape[2:], self.output_size, strict=True)
        )
        return rows @ x @ columns.transpose(0, 1)


def compute_bin_weights(side: int, bins: int, like: Tensor) -> Tensor:
    """The weights of ``side`` pixels in each of ``bins`` averages, (bins, side).

    Bin i covers pixels ``floor(i * side / bins)`` to ``ceil((i + 1) * side / bins)``.
    """
    pixels = torch.arange(side, device=like.device)
    first = torch.arange(bins, device=like.device) * side
    begins, ends = torch.div(first, bins, rounding_mode='floor'), ceil_div(first + side, bins)
    inside = (pixels >= begins[:, None]) & (pixels < ends[:, None])
    return inside.to(like.dtype) / (ends - begins)[:, None].to(like.dtype)
