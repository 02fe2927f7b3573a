"""Models to trace: classifiers and segmentors here, detectors in files of their own. The base class
of detectors is in detector_graph.py.

OpenMMLab packages are imported when needed.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.onnx.operators import shape_as_tensor

from ..errors import UserError
from ..host.private_api import predicts_softmax
from ..models.layers.arguments import MIN_IMAGE_SIZE, make_pair
from ..models.layers.padding import ceil_div, pad_images
from ..predict.predictor import Predictor
from .masks import Arrays, Shape
from .replacing import replace_modules

INPUT = 'images'
# The threshold of the last NMS, which is an initializer of the files of detectors with NMS:
# runtimes can set another one.
SCORE_THR = 'nms_score_thr'
# The dynamic axes of images (B, 3, H, W) and of logits (B, K, H, W), with their names.
DYNAMIC_AXES = {0: 'batch', 2: 'height', 3: 'width'}
Axes = Mapping[str, Mapping[int, str]]  # the names of the dynamic axes of each output


class ModelGraph(nn.Module, ABC):
    """Base class of models to trace, which take images (B, 3, H, W).

    It says what a file contains, and how the file is compared with the model.
    """

    finds_objects: ClassVar[bool] = False  # which are matched before they are compared
    # The model that is traced. OpenMMLab's models have no types.
    model: Any
    # Of DINO, whose feature maps must have as many pixels in an image to compare
    num_queries: int = 0

    @property
    @abstractmethod
    def output_axes(self) -> Axes:
        """The names of the dynamic axes of each output."""

    @abstractmethod
    def collect_outputs(
        self, samples: Sequence[BaseDataElement], inputs: Tensor
    ) -> dict[str, Tensor]:
        """Return what the file should give, by output, from the data samples that the network has
        predicted for ``inputs``, the normalised images (B, 3, H, W).
        """

    def describe(self, predictor: Predictor[Any]) -> dict[str, Any]:
        """Return entries of the file's metadata that only this task has."""
        return {}

    def convert_outputs(self, outputs: Arrays, size: Shape) -> Arrays:
        """Return the outputs of the file for images of ``size`` as :meth:`collect_outputs` returns
        the model's.
        """
        return outputs


class ClassifierGraph(ModelGraph):
    """Predicts softmax scores (B, K) of images (B, 3, H, W) with a classifier of mmpretrain."""

    def __init__(self, model: Any):
        from mmpretrain.models import ImageClassifier

        super().__init__()
        head = getattr(model, 'head', None)
        if not isinstance(model, ImageClassifier) or not predicts_softmax(head):
            raise UserError(
                f'cannot export {type(model).__name__} with {type(head).__name__}. Export supports '
                'ImageClassifier with a softmax head for one label, such as LinearClsHead'
            )
        self.model = model

    @property
    def output_axes(self) -> Axes:
        return {'scores': {0: 'batch'}}

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images, mode='tensor').softmax(-1)

    def collect_outputs(
        self, samples: Sequence[BaseDataElement], inputs: Tensor
    ) -> dict[str, Tensor]:
        return {'scores': torch.stack([sample.pred_score for sample in samples])}


class SegmentorGraph(ModelGraph):
    """Predicts logits (B, K, H, W) of images (B, 3, H, W) with a segmentor of mmseg."""

    head: Any  # of mmseg, which has no types

    def __init__(self, model: Any):
        from mmseg.models import EncoderDecoder, Mask2FormerHead

        from .deformable_attention import gather_in_attention

        super().__init__()
        head: Any = getattr(model, 'decode_head', None)
        padding = getattr(model.data_preprocessor, 'test_cfg', None) or {}
        size = padding.get('size') or (0, 0)
        mode = model.test_cfg.mode
        has_class_channels = getattr(head, 'out_channels', 0) > 1
        # Both have a pixel decoder.
        is_maskformer = hasattr(head, 'pixel_decoder') and not isinstance(head, Mask2FormerHead)
        unsupported = []
        if type(model) is not EncoderDecoder:
            unsupported.append(type(model).__name__)
        if is_maskformer or not has_class_channels:
            unsupported.append(type(head).__name__)
        if mode != 'whole':
            unsupported.append(f'mode {mode}')
        if max(size) > MIN_IMAGE_SIZE:
            unsupported.append(f'padding to {size}')
        if unsupported:
            raise UserError(
                f'cannot export a segmentor with {", ".join(unsupported)}. Export supports '
                'EncoderDecoder with a head that has a channel for each class, or Mask2FormerHead, '
                f'mode whole and padding to at most {MIN_IMAGE_SIZE}'
            )
        self.min_size = torch.tensor(size)  # (height, width) to which smaller images are padded
        self.size_divisor = padding.get('size_divisor') or 1
        self.model = model
        head = replace_modules(head, nn.AdaptiveAvgPool2d, TraceablePooling)
        self.head = gather_in_attention(head)

    @property
    def output_axes(self) -> Axes:
        return {'logits': DYNAMIC_AXES}

    def forward(self, images: Tensor) -> Tensor:
        # Pad the images at the right and bottom, as mmseg's data preprocessor does. The size is a
        # tensor, since the exporter would make numbers constants.
        missing = (self.min_size - shape_as_tensor(images)[-2:]).clamp(min=0)
        padding: Any = (0, missing[1], 0, missing[0])  # not ints, as F.pad declares
        padded = F.pad(images, padding)
        padded = pad_images(padded, self.size_divisor)
        maps = self.model.extract_feat(padded)
        # A tuple, since mmseg takes a torch.Size for that of a window.
        logits = self.head.predict(maps, [{'img_shape': tuple(padded.shape[2:])}], None)
        return logits[..., : images.shape[2], : images.shape[3]]

    def describe(self, predictor: Predictor[Any]) -> dict[str, Any]:
        return {'tiles': predictor.tiles or 0}

    def collect_outputs(
        self, samples: Sequence[BaseDataElement], inputs: Tensor
    ) -> dict[str, Tensor]:
        return {'logits': torch.stack([sample.seg_logits.data for sample in samples])}


class TraceablePooling(nn.Module):
    """``nn.AdaptiveAvgPool2d`` as two matrix products, because ONNX has no adaptive pooling."""

    def __init__(self, pooling: nn.AdaptiveAvgPool2d):
        super().__init__()
        self.output_size = make_pair(pooling.output_size)

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, H, W) to (B, C, h, w), first its rows, then its columns."""
        for side, bins in zip(x.shape[2:], self.output_size, strict=True):
            # Bin i covers the pixels from floor(i * side / bins) up to ceil((i + 1) * side / bins)
            # - 1.
            pixels = torch.arange(side, device=x.device)
            products = torch.arange(bins, device=x.device)[:, None] * side
            begins = products // bins
            ends = ceil_div(products + side, bins)
            is_inside = (pixels >= begins) & (pixels < ends)
            weights = is_inside.to(x.dtype) / (ends - begins)
            x = (weights @ x).transpose(2, 3)
        return x
