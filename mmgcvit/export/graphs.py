"""Build the module that is traced for an export, with the names of its input and outputs.

Detectors are in modules of their own, such as :mod:`.detector_graph`. OpenMMLab packages are imported inside functions,
only for the model's task.
"""

from copy import deepcopy
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..inference.predictor import Predictor
from ..models.layers.windows import ceil_div

INPUT = 'images'
# The dynamic axes of images (B, 3, H, W) and of logits (B, K, H, W), with their names.
DYNAMIC_AXES = {0: 'batch', 2: 'height', 3: 'width'}


def build_export_module(predictor: Predictor) -> nn.Module:
    """Return the module to trace for a model. Raise a UserError if the model has parts that cannot be exported.

    The module's ``output_axes`` maps the name of each output to its dynamic axes.
    """
    if predictor.task == 'detection':
        return build_detector_graph(predictor.network).eval()
    graph = SegmentorGraph if predictor.task == 'segmentation' else ClassifierGraph
    return graph(predictor.network).eval()


def build_detector_graph(model: nn.Module) -> nn.Module:
    """Return the module to trace for a detector of mmdet."""
    from mmdet.models import DINO, RTMDetInsHead

    from .detector_graph import TwoStageGraph
    from .dino_graph import DINOGraph
    from .rtmdet_graph import RTMDetInsGraph

    if isinstance(model, DINO):
        return DINOGraph(model)
    if isinstance(getattr(model, 'bbox_head', None), RTMDetInsHead):
        return RTMDetInsGraph(model)
    return TwoStageGraph(model)


class ClassifierGraph(nn.Module):
    """Predicts softmax scores (B, K) of images (B, 3, H, W) with a classifier of mmpretrain."""

    output_axes: ClassVar = {'scores': {0: 'batch'}}

    def __init__(self, model: nn.Module) -> None:
        from mmpretrain.models import ClsHead, ImageClassifier

        super().__init__()
        head = getattr(model, 'head', None)
        is_softmax = isinstance(head, ClsHead) and type(head)._get_predictions is ClsHead._get_predictions
        if not isinstance(model, ImageClassifier) or not is_softmax:
            raise UserError(
                f'cannot export {type(model).__name__} with {type(head).__name__}. Export supports ImageClassifier '
                'with a softmax head for one label, such as LinearClsHead'
            )
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images, mode='tensor').softmax(-1)


class SegmentorGraph(nn.Module):
    """Predicts logits (B, K, H, W) of images (B, 3, H, W) with a segmentor of mmseg."""

    output_axes: ClassVar = {'logits': DYNAMIC_AXES}

    def __init__(self, model: nn.Module) -> None:
        from mmseg.models import EncoderDecoder

        super().__init__()
        padding, head = getattr(model.data_preprocessor, 'test_cfg', None) or {}, getattr(model, 'decode_head', None)
        has_queries, is_binary = hasattr(head, 'pixel_decoder'), getattr(head, 'out_channels', 1) == 1
        is_padded, mode = bool(padding.get('size') or padding.get('size_divisor')), model.test_cfg.mode
        problems = [f'the segmentor {type(model).__name__}'] * (type(model) is not EncoderDecoder)
        problems += [f'the head {type(head).__name__}'] * (has_queries or is_binary)
        problems += [f'test_cfg.mode={mode!r}'] * (mode != 'whole')
        problems += ['padding at test time'] * is_padded
        if problems:
            raise UserError(
                f'export does not support {" and ".join(problems)}. It supports EncoderDecoder with a head that has '
                "one output channel for each class, such as UPerHead, with test_cfg.mode='whole' and without padding"
            )
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        # A copy, because the model's own pooling stays.
        self.head = deepcopy(model.decode_head)
        for parent in list(self.head.modules()):
            for name, child in parent.named_children():
                if type(child) is nn.AdaptiveAvgPool2d:
                    setattr(parent, name, TraceablePooling(child.output_size))

    def forward(self, images: Tensor) -> Tensor:
        logits = self.head(self.neck(self.backbone(images)))
        return F.interpolate(logits, size=images.shape[2:], mode='bilinear', align_corners=self.head.align_corners)


class TraceablePooling(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as two matrix products, because ONNX has no adaptive pooling."""

    def __init__(self, output_size: int | tuple[int, int]) -> None:
        super().__init__()
        self.output_size = output_size if isinstance(output_size, tuple) else (output_size, output_size)

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, H, W) to (B, C, h, w)."""
        rows, columns = (
            compute_bin_weights(side, bins, x) for side, bins in zip(x.shape[2:], self.output_size, strict=True)
        )
        return rows @ x @ columns.transpose(0, 1)


def compute_bin_weights(side: int, bins: int, like: Tensor) -> Tensor:
    """Return the matrix (bins, side) that averages ``side`` pixels in ``bins`` bins, with ``like``'s dtype.

    Bin i covers the pixels from ``floor(i * side / bins)`` up to ``ceil((i + 1) * side / bins) - 1``.
    """
    pixels = torch.arange(side, device=like.device)
    products = torch.arange(bins, device=like.device) * side
    begins, ends = torch.div(products, bins, rounding_mode='floor'), ceil_div(products + side, bins)
    inside = (pixels >= begins[:, None]) & (pixels < ends[:, None])
    return inside.to(like.dtype) / (ends - begins)[:, None].to(like.dtype)
