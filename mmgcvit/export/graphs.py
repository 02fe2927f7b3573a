"""Build the module that is traced for an export, with the names of its input and outputs.

Detectors are in modules of their own, such as :mod:`.detector_graph`. OpenMMLab packages are imported inside functions,
only for the model's task.
"""

from collections.abc import Callable
from copy import deepcopy
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UserError
from ..inference.predictor import Predictor
from ..models.layers.windows import ceil_div, round_up
from ..private_api import predicts_softmax

INPUT = 'images'
# The dynamic axes of images (B, 3, H, W) and of logits (B, K, H, W), with their names.
DYNAMIC_AXES = {0: 'batch', 2: 'height', 3: 'width'}


def build_export_module(predictor: Predictor) -> nn.Module:
    """Return the module to trace for a model. Raise a UserError if the model has parts that cannot be exported.

    The module's ``output_axes`` maps the name of each output to its dynamic axes.
    """
    model = predictor.network
    if predictor.task != 'detection':
        return (SegmentorGraph if predictor.task == 'segmentation' else ClassifierGraph)(model).eval()
    from mmdet.models import DINO, Mask2Former, RTMDetInsHead

    from .detector_graph import TwoStageGraph
    from .dino_graph import DINOGraph
    from .mask2former_graph import Mask2FormerGraph
    from .rtmdet_graph import RTMDetInsGraph

    graph = TwoStageGraph
    if isinstance(model, DINO):
        graph = DINOGraph
    elif isinstance(model, Mask2Former):
        graph = Mask2FormerGraph
    elif isinstance(getattr(model, 'bbox_head', None), RTMDetInsHead):
        graph = RTMDetInsGraph
    return graph(model).eval()


def pad_images(images: Tensor, divisor: int) -> Tensor:
    """Pad images (B, C, H, W) with zeros at the right and bottom, so that ``divisor`` divides both sides."""
    if divisor <= 1:
        return images
    bottom, right = (round_up(side, divisor) - side for side in images.shape[-2:])
    return F.pad(images, (0, right, 0, bottom))


def replace_modules(module: nn.Module, replaced: type[nn.Module], make: Callable[[nn.Module], nn.Module]) -> nn.Module:
    """Return a copy of a module, with the same parameters, in which ``make`` replaces the submodules of a class."""
    copied = deepcopy(module, {id(parameter): parameter for parameter in module.parameters()})
    for parent in list(copied.modules()):
        for name, child in parent.named_children():
            if isinstance(child, replaced):
                setattr(parent, name, make(child))
    return copied


class ClassifierGraph(nn.Module):
    """Predicts softmax scores (B, K) of images (B, 3, H, W) with a classifier of mmpretrain."""

    output_axes: ClassVar = {'scores': {0: 'batch'}}

    def __init__(self, model: nn.Module) -> None:
        from mmpretrain.models import ImageClassifier

        super().__init__()
        head = getattr(model, 'head', None)
        if not isinstance(model, ImageClassifier) or not predicts_softmax(head):
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
        from mmseg.models import EncoderDecoder, Mask2FormerHead

        super().__init__()
        padding, head = getattr(model.data_preprocessor, 'test_cfg', None) or {}, getattr(model, 'decode_head', None)
        is_mask2former, mode = isinstance(head, Mask2FormerHead), model.test_cfg.mode
        is_unknown = hasattr(head, 'pixel_decoder') and not is_mask2former
        is_binary = getattr(head, 'out_channels', 1) == 1
        problems = [f'the segmentor {type(model).__name__}'] * (type(model) is not EncoderDecoder)
        problems += [f'the head {type(head).__name__}'] * (is_unknown or is_binary)
        problems += [f'test_cfg.mode={mode!r}'] * (mode != 'whole')
        problems += ['padding to a fixed size at test time'] * bool(padding.get('size'))
        if problems:
            raise UserError(
                f'export does not support {" and ".join(problems)}. It supports EncoderDecoder with a head that has '
                "one output channel for each class, such as UPerHead, or Mask2FormerHead, with test_cfg.mode='whole'"
            )
        self.size_divisor = padding.get('size_divisor') or 1
        self.backbone = model.backbone
        self.neck = model.neck if model.with_neck else nn.Identity()
        self.head = replace_modules(model.decode_head, nn.AdaptiveAvgPool2d, TraceablePooling)
        if is_mask2former:
            from .deformable_attention import gather_in_attention

            self.head = gather_in_attention(self.head)

    def forward(self, images: Tensor) -> Tensor:
        padded = pad_images(images, self.size_divisor)
        # A tuple, since mmseg takes a torch.Size for that of a window.
        logits = self.head.predict(self.neck(self.backbone(padded)), [{'img_shape': tuple(padded.shape[2:])}], None)
        return logits[..., : images.shape[2], : images.shape[3]]


class TraceablePooling(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as two matrix products, because ONNX has no adaptive pooling."""

    def __init__(self, pooling: nn.AdaptiveAvgPool2d) -> None:
        super().__init__()
        size = pooling.output_size
        self.output_size = size if isinstance(size, tuple) else (size, size)

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
