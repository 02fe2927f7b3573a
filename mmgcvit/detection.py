"""Subclasses of mmdet's modules, each for one fault or gap of mmdet."""

import logging
from collections.abc import Sequence
from typing import Any

import mmcv
import torch
from mmcv.transforms import BaseTransform
from mmdet import models as mmdet
from mmdet.models import BaseDetector
from mmdet.models.layers import MLP
from mmdet.models.layers import MSDeformAttnPixelDecoder as MMDetPixelDecoder
from mmdet.models.task_modules import AssignResult
from mmdet.models.task_modules import HungarianAssigner as MMDetHungarianAssigner
from mmdet.structures import SampleList
from mmengine import fileio
from mmengine.dist import all_gather_object
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import Tensor, nn

from .errors import shorten
from .mmengine_utils import MAX_IMAGES_NAMED, get_image_name
from .registry import HOOKS, MODELS, TASK_UTILS, TRANSFORMS


@HOOKS.register_module()
class DropNonFinitePredictionsHook(Hook):
    """Drop predictions with a NaN or infinite box or score, in validation and test.

    pycocotools matches a NaN box with any object, so a diverged network would score an AP of 1.0. Remove this hook once
    pycocotools does not.
    """

    def __init__(self) -> None:
        self.handles: list[Any] = []
        self.images: list[str] = []

    def watch(self, runner: Runner) -> None:
        """Register forward hooks on all detectors in the model."""
        detectors = [module for module in runner.model.modules() if isinstance(module, BaseDetector)]
        self.handles = [detector.register_forward_hook(self.drop) for detector in detectors]

    def drop(self, model: nn.Module, arguments: Any, outputs: Any) -> None:
        """Drop predictions; a forward hook."""
        for sample in outputs if not model.training and isinstance(outputs, list) else ():
            instances = sample.get('pred_instances')
            if instances is None:
                continue
            kept = torch.isfinite(instances.bboxes).all(1) & torch.isfinite(instances.scores)
            if not kept.all():
                sample.pred_instances = instances[kept]
                self.images.append(get_image_name(sample))

    def report(self, runner: Runner) -> None:
        """Remove the forward hooks and log the images whose predictions were dropped."""
        for handle in self.handles:
            handle.remove()
        images = [name for of_process in all_gather_object(self.images) for name in of_process]
        self.images = []
        if images:
            named = f'{len(images)} images: {shorten(images, MAX_IMAGES_NAMED)}'
            print_log(f'Dropped non-finite predictions for {named}', 'current', logging.WARNING)

    before_val = before_test = watch
    after_val = after_test = report


@MODELS.register_module()
class RPNHead(mmdet.RPNHead):
    """mmdet's RPNHead with float32 predictions, so that anchors and proposals are float32."""

    def forward(self, x: tuple[Tensor, ...]) -> tuple[list[Tensor], ...]:
        """Feature maps (B, C, H_i, W_i) to scores (B, A, H_i, W_i) and box deltas (B, 4A, H_i, W_i) of A anchors."""
        return tuple([prediction.float() for prediction in levels] for levels in super().forward(x))


@MODELS.register_module()
class SingleRoIExtractor(mmdet.SingleRoIExtractor):
    """mmdet's SingleRoIExtractor in float32, on contiguous maps: mmcv's CUDA operator misreads channels-last ones."""

    def forward(self, feats: tuple[Tensor, ...], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Feature maps (B, C, H_i, W_i) and RoIs (n, 5), image index and corners in pixels, to (n, C, h, w)."""
        with torch.autocast(rois.device.type, enabled=False):
            return super().forward(tuple(x.float().contiguous() for x in feats), rois.float(), roi_scale_factor)


class RefPointHead(MLP):
    """DINO's ``ref_point_head`` of the authors, mmdet 3.3.0 and detrex: reference boxes to positional queries.

    It takes C / 2 features per coordinate, 128 for 256 channels. onedl-mmdetection 3.5.1 encodes boxes with C features
    and makes the head twice as wide (its issue 25), so released weights do not fit. Every second frequency of that
    encoding is one of mmdet's. Remove this class once the fork has mmdet's decoder again.

    Args:
        channels: ``embed_dims`` of the decoder.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(2 * channels, channels, channels, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Sine encodings (B, n, 4 * F) of boxes, with F = C / 2 or a multiple, to positional queries (B, n, C)."""
        frequencies = x.unflatten(-1, (4, -1, 2))  # pairs of a sine and a cosine
        step = x.shape[-1] // self.layers[0].in_features
        return super().forward(frequencies[..., ::step, :].flatten(-3))


@MODELS.register_module()
class DINO(mmdet.DINO):
    """mmdet's DINO with the decoder of mmdet 3.3.0, and with transformer and head in float32 under mixed precision."""

    def _init_layers(self) -> None:
        super()._init_layers()
        self.decoder.ref_point_head = RefPointHead(self.embed_dims)

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Images (B, 3, H, W) and their ground truth to losses by name."""
        maps = self.extract_feat(batch_inputs)
        with torch.autocast(batch_inputs.device.type, enabled=False):
            found = self.forward_transformer(tuple(x.float() for x in maps), batch_data_samples)
            return self.bbox_head.loss(**found, batch_data_samples=batch_data_samples)


@MODELS.register_module()
class MSDeformAttnPixelDecoder(MMDetPixelDecoder):
    """Mask2Former's pixel decoder in float32, as in the authors' code."""

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Feature maps (B, C_i, H_i, W_i) to mask features (B, C, H_0, W_0) and some of C channels, smallest first."""
        with torch.autocast(feats[0].device.type, enabled=False):
            return super().forward([x.float() for x in feats])


# Larger than any logit or image side in pixels.
LARGEST = 1e6


@TASK_UTILS.register_module()
class HungarianAssigner(MMDetHungarianAssigner):
    """mmdet's HungarianAssigner in float32, which also matches NaN and infinite predictions.

    SciPy raises an error for NaN costs, which would end the run. Here the losses become non-finite and the step is
    skipped. Remove this class once mmdet does so.
    """

    def assign(self, pred_instances: InstanceData, *args: Any, **kwargs: Any) -> AssignResult:
        """Match predictions (``scores`` (n, C), ``bboxes`` (n, 4) or ``masks`` (n, ...)) to the ground truth."""
        finite = {name: values.float().nan_to_num().clamp(-LARGEST, LARGEST) for name, values in pred_instances.items()}
        numbers = InstanceData(**finite)
        with torch.autocast(numbers.scores.device.type, enabled=False):
            return super().assign(numbers, *args, **kwargs)


@TRANSFORMS.register_module()
class ApplyExifAsAnnotated(BaseTransform):
    """Ignore an image's EXIF rotation where the annotations were made without it.

    mmcv rotates images as EXIF says, but some tools annotate the stored image. Then width and height are swapped, boxes
    are outside of the image, and clipping leaves boxes without area, whose losses are NaN. Square images and rotations
    by 180 degrees cannot be detected.

    Changes ``img``, ``img_shape`` and ``ori_shape``; needs ``img_path``, and ``height`` and ``width`` of the
    annotations, without which it does nothing.

    Args:
        backend_args: As for ``LoadImageFromFile``, which comes before it.
    """

    def __init__(self, backend_args: dict | None = None) -> None:
        self.backend_args = backend_args

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        annotated, found = (results.get('height'), results.get('width')), results['img'].shape[:2]
        if found == annotated or found != annotated[::-1]:
            return results
        content = fileio.get(results['img_path'], backend_args=self.backend_args)
        stored = mmcv.imfrombytes(content, flag='color_ignore_orientation')
        if stored.shape[:2] == annotated:
            results['img'] = stored.astype(results['img'].dtype)
            results['img_shape'] = results['ori_shape'] = annotated
        return results
