"""The base class of detectors to trace, and the operators that they share: clipping, top scores and
NMS.

Shapes: B images of the batch, n boxes of an image, N objects of all images.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from mmengine.config import ConfigDict
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor
from torch.onnx.operators import shape_as_tensor

from ..models.layers.padding import pad_images
from ..predict.predictor import Predictor
from .graphs import Axes, ModelGraph
from .masks import Arrays, Shape, collect_masks, resize_masks

Tensors = tuple[Tensor, ...]
# A box that is dropped gets the score NO_OBJECT. All other scores and logits are above
# OBJECT_THRESHOLD.
NO_OBJECT = -1e4
OBJECT_THRESHOLD = -5e3


class DetectorGraph(ModelGraph):
    """Base class of detectors to trace. ``forward`` takes images (B, 3, H, W) and returns the
    outputs of all images' N objects, ordered by image, then by descending score.

    The outputs are boxes (N, 4) = [x1, y1, x2, y2] in pixels; scores, labels and image indices
    (N,); and masks (N, h, w) of models that predict them.
    """

    finds_objects = True
    # 'box' for masks that are probabilities inside the box, else how logits of the whole padded
    # image become masks: 'crop' or 'resize' first
    mask_type: ClassVar[str] = 'box'
    output_names: tuple[str, ...] = ('boxes', 'scores', 'labels', 'image_indices')
    # There is a logit for so many x so many pixels of the image; 0 for masks inside the box.
    mask_stride: int = 0

    @property
    def output_axes(self) -> Axes:
        axes = {name: {0: 'objects'} for name in self.output_names}
        if self.mask_stride:
            axes['masks'] = {0: 'objects', 1: 'mask_height', 2: 'mask_width'}
        return axes

    def extract_feature_maps(self, images: Tensor) -> Tensors:
        """Return the neck's feature maps (B, C, H_i, W_i) of images (B, 3, H, W)."""
        return self.model.extract_feat(self.pad(images))

    def pad(self, images: Tensor) -> Tensor:
        """Pad images (B, 3, H, W) as the data preprocessor does."""
        return pad_images(images, self.model.data_preprocessor.pad_size_divisor)

    @property
    def mask_threshold(self) -> float:
        """The probability from which a pixel belongs to an object."""
        if hasattr(self.model, 'panoptic_head'):
            return 0.5  # Mask2Former's
        # Two-stage detectors have settings for each stage.
        test_cfg = self.model.test_cfg.get('rcnn', self.model.test_cfg)
        return float(test_cfg.get('mask_thr_binary', 0.5))

    def describe(self, predictor: Predictor[Any]) -> dict[str, Any]:
        return {
            **predictor.thresholds.to_json(),
            'tiles': predictor.tiles or 0,
            'limit': predictor.limit,
            'mask_thr_binary': self.mask_threshold,
            'mask_type': self.mask_type,
            'mask_stride': self.mask_stride,
        }

    def collect_outputs(
        self, samples: Sequence[BaseDataElement], inputs: Tensor
    ) -> dict[str, Tensor]:
        found = InstanceData.cat([sample.pred_instances for sample in samples])
        numbers = torch.tensor([len(sample.pred_instances) for sample in samples])
        image_indices = torch.arange(len(samples)).repeat_interleave(numbers)
        outputs = {
            'boxes': found.bboxes,
            'scores': found.scores,
            'labels': found.labels,
            'image_indices': image_indices,
        }
        if self.mask_stride:
            outputs['masks'] = found.masks
        return outputs

    def convert_outputs(self, outputs: Arrays, size: Shape) -> Arrays:
        """Make masks of the whole image of logits. Masks in boxes stay as they are."""
        if not self.mask_stride:
            return outputs
        masks = resize_masks(
            logits=outputs['masks'],
            stride=self.mask_stride,
            mask_type=self.mask_type,
            threshold=self.mask_threshold,
            img_shape=size,
            ori_shape=size,
        )
        return {**outputs, 'masks': collect_masks(masks, len(outputs['masks']), size)}


def clip_boxes(boxes: Tensor, size: Tensor) -> Tensor:
    """Clip boxes (..., 4) = [x1, y1, x2, y2] in pixels to images of ``size`` (2,) = [height,
    width].
    """
    limits = size.flip(0).repeat(2).to(boxes.dtype)
    return torch.minimum(boxes.clamp(min=0.0), limits)


def list_objects(scores: Tensor, max_objects: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return image, index and score (N,) of each image's ``max_objects`` highest-scoring objects.

    ``scores`` (B, n) are ``NO_OBJECT`` where there is none.
    """
    top_scores, order = select_top_scores(scores, max_objects)
    image, rank = (top_scores > OBJECT_THRESHOLD).nonzero().unbind(1)
    return image, order[image, rank], top_scores[image, rank]


def select_top_scores(scores: Tensor, max_scores: int) -> tuple[Tensor, Tensor]:
    """Sort scores (B, n) in descending order.

    Return the first ``max_scores`` (if <= 0, all), and their indices.
    """
    # Tensors, because the exporter would make numbers constants. TensorRT's TopK has k <= 3840.
    number: Any = shape_as_tensor(scores)[1]  # not an int, as topk declares
    if max_scores > 0:
        # A clamp of integers would become Clip, which TensorRT supports for floats only.
        number = torch.minimum(number, torch.tensor(max_scores))
    return scores.topk(number, dim=1)


def gather_rows(values: Tensor, order: Tensor) -> Tensor:
    """Return the rows (B, m, C) of values (B, n, C) at the indices (B, m)."""
    return values.gather(1, order.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


def apply_nms(boxes: Tensor, scores: Tensor, nms: ConfigDict, score_thr: Tensor) -> Tensor:
    """Apply NMS with the settings ``nms`` to boxes (B, n, 4) with scores (B, n), of those that
    score above ``score_thr`` (1,).

    Return the scores, with ``NO_OBJECT`` for dropped boxes.
    """
    kept = NonMaxSuppression.apply(boxes, scores.unsqueeze(1), score_thr, nms.iou_threshold)
    flat = scores.flatten()
    index = kept[:, 0] * scores.shape[1] + kept[:, 2]
    # The exporter would turn torch.full_like into a constant.
    return flat.clamp(max=NO_OBJECT).scatter(0, index, flat[index]).reshape_as(scores)


class NonMaxSuppression(torch.autograd.Function):
    """ONNX's operator for non-maximum suppression (NMS), to be traced.

    Boxes (B, n, 4) and scores (B, 1, n) give the indices (m, 3) = [image, 0, box] of the boxes
    that are kept, of those that score above ``score_thr`` (1,).
    """

    @staticmethod
    def forward(
        ctx: Any, boxes: Tensor, scores: Tensor, score_thr: Tensor, iou_threshold: float
    ) -> Tensor:
        return (scores > score_thr).nonzero()  # only an example, as the operator does the rest

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, score_thr: Any, iou_threshold: float) -> Any:
        # The first value is the maximum number of boxes.
        values = ([2**31 - 1], [float(iou_threshold)])
        constants = [g.op('Constant', value_t=torch.tensor(value)) for value in values]
        indices = g.op('NonMaxSuppression', boxes, scores, *constants, score_thr)

        # Without this type the exporter would make the example's number of boxes a constant.
        indices.setType(boxes.type().with_dtype(torch.int64).with_sizes([None, 3]))
        return indices


def find_unsupported_nms(nms: ConfigDict) -> list[str]:
    """Return a description of NMS settings that are not plain NMS, else an empty list."""
    is_plain = nms.get('type', 'nms') == 'nms'
    if is_plain and not set(nms) - {'type', 'iou_threshold', 'split_thr'}:
        return []
    return [f'NMS {dict(nms)}']
