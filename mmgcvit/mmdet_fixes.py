"""Modules, a metric and transforms for mmdet. Each class works around one bug or missing
feature.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from mmcv.ops import batched_nms, roi_align
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional
from torchvision.ops import clip_boxes_to_image

from .errors import UserError
from .ops.packages import import_task_package
from .private_api import replace_globals
from .registry import METRICS, MODELS, TASK_UTILS, TRANSFORMS
from .rle import RLE, encode_crop, encode_rle

# mmdet imports mmpretrain, which may be broken. Configs import this module before mmdet.
import_task_package('mmdet')

from mmdet import models as mmdet  # noqa: E402
from mmdet.datasets.api_wrappers import COCOeval  # noqa: E402
from mmdet.datasets.transforms import Mosaic as MMDetMosaic  # noqa: E402
from mmdet.models import layers, task_modules  # noqa: E402
from mmdet.models.task_modules import AssignResult, SamplingResult  # noqa: E402
from mmdet.structures import SampleList  # noqa: E402
from mmdet.structures.bbox import get_box_tensor, scale_boxes  # noqa: E402
from mmdet.structures.mask import BitmapMasks, PolygonMasks, mask2bbox  # noqa: E402

with warnings.catch_warnings():
    # The fork warns that it lacks the package of a metric that this project does not use.
    warnings.filterwarnings('ignore', 'faster_coco_eval is not installed')
    from mmdet.evaluation import CocoMetric as MMDetCocoMetric

Tensors = tuple[Tensor, ...]  # of the levels of feature maps
Masks: TypeAlias = BitmapMasks | PolygonMasks
# [left, top, right, bottom] of an image's part in a mosaic, and in the image
Place = tuple[tuple[int, int, int, int], tuple[int, int, int, int]]


@MODELS.register_module()
class RPNHead(mmdet.RPNHead):
    """mmdet's RPNHead with predictions, and so proposals, in float32 until mmcv's operators support
    bfloat16.
    """

    def forward(self, x: Tensors) -> tuple[list[Tensor], ...]:
        """Return two lists over levels i: scores (B, A, H_i, W_i) and box deltas (B, 4A, H_i, W_i)
        of A anchors.
        """
        return tuple([prediction.float() for prediction in levels] for levels in super().forward(x))


class Float32RoIHead(mmdet.BaseRoIHead):
    """Base class of RoI heads on feature maps in float32, which are cast once for all RoI
    extractors.

    mmcv's CUDA operator for RoIAlign does not support bfloat16 and gives wrong results for
    channels-last tensors. Remove this class and its subclasses when it does both.
    """

    def loss(self, x: Tensors, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Return the losses, by name, of feature maps (B, C, H_i, W_i)."""
        return super().loss(make_float32(x), *args, **kwargs)

    def predict(self, x: Tensors, *args: Any, **kwargs: Any) -> list[InstanceData]:
        """Return the predictions for each image of feature maps (B, C, H_i, W_i)."""
        return super().predict(make_float32(x), *args, **kwargs)


def make_float32(levels: Sequence[Tensor]) -> Tensors:
    """Cast feature maps (B, C, H_i, W_i) to contiguous float32."""
    return tuple(level.float().contiguous() for level in levels)


@MODELS.register_module()
class StandardRoIHead(Float32RoIHead, mmdet.StandardRoIHead):
    """mmdet's StandardRoIHead as a :class:`Float32RoIHead`."""


@MODELS.register_module()
class CascadeRoIHead(Float32RoIHead, mmdet.CascadeRoIHead):
    """mmdet's CascadeRoIHead as a :class:`Float32RoIHead`."""


@MODELS.register_module()
class FCNMaskHead(mmdet.FCNMaskHead):
    """mmdet's FCNMaskHead, which makes mask targets on the boxes' device, and predicts masks in
    less memory.

    mmdet copies an object's mask for each of up to 128 boxes of an image in float32 (546 MB at
    800x1333 px), and the targets to the CPU and back. This class gives RoIAlign each mask once, so
    the targets are equal. mmdet pastes the masks of all candidates, also of those with a score of
    0.05, into arrays of the size of the image: 1.2 GB for 100 candidates in an image of 12
    megapixels, and copies of it. This class reads two settings of a sample's metainfo, without
    which it predicts as mmdet does:

    * ``score_thr``: candidates with a lower score are dropped before their masks are pasted.
    * ``max_mask_bytes``: if the masks would need more as an array, they are a list of RLE.

    Remove it when mmdet's ``BitmapMasks.crop_and_resize`` and its prediction do so too.
    """

    def predict_by_feat(
        self,
        mask_preds: Sequence[Tensor],
        results_list: list[InstanceData],
        batch_img_metas: list[dict[str, Any]],
        rcnn_test_cfg: ConfigDict,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> list[InstanceData]:
        """Return the detections of each image with masks: (n, height, width) bool, or n RLE.

        ``mask_preds`` are logits (n, classes, h, w) of each image, or, with ``activate_map``,
        probabilities.
        """
        kept_preds = []
        kept_results = []
        for preds, results, meta in zip(mask_preds, results_list, batch_img_metas, strict=True):
            is_kept = results.scores >= meta.get('score_thr', -math.inf)
            kept_preds.append(preds if is_kept.all() else preds[is_kept])
            kept_results.append(results if is_kept.all() else results[is_kept])
        return super().predict_by_feat(
            mask_preds=kept_preds,
            results_list=kept_results,
            batch_img_metas=batch_img_metas,
            rcnn_test_cfg=rcnn_test_cfg,
            rescale=rescale,
            activate_map=activate_map,
        )

    def _predict_by_feat_single(
        self,
        mask_preds: Tensor,
        bboxes: Tensor,
        labels: Tensor,
        img_meta: dict[str, Any],
        rcnn_test_cfg: ConfigDict,
        rescale: bool = False,
        activate_map: bool = False,
    ) -> Tensor | list[RLE]:
        settings = {
            'img_meta': img_meta,
            'rcnn_test_cfg': rcnn_test_cfg,
            'rescale': rescale,
            'activate_map': activate_map,
        }
        is_large = count_mask_bytes(len(bboxes), img_meta) > get_max_mask_bytes(img_meta)
        if not is_large or not rescale or rcnn_test_cfg.mask_thr_binary < 0:
            return super()._predict_by_feat_single(mask_preds, bboxes, labels, **settings)
        masks = []
        for index in range(len(bboxes)):
            one = slice(index, index + 1)
            # It scales the box in place, from the size of the network's input to the image's.
            (mask,) = super()._predict_by_feat_single(
                mask_preds[one], bboxes[one], labels[one], **settings
            )
            masks.append(encode_pasted(mask, bboxes[index]))
        return masks

    def get_targets(
        self,
        sampling_results: list[SamplingResult],
        batch_gt_instances: list[InstanceData],
        rcnn_train_cfg: ConfigDict,
    ) -> Tensor:
        """Return the targets (n, h, w), 0 or 1, of the images' n positive boxes.

        ``rcnn_train_cfg.mask_size`` is h and w. mmdet computes the targets of polygons, soft
        targets, and those of images without positive boxes, which RoIAlign on CUDA may reject.
        """
        targets = []
        is_soft = rcnn_train_cfg.get('soft_mask_target')
        for result, objects in zip(sampling_results, batch_gt_instances, strict=True):
            is_bitmap = isinstance(objects.masks, BitmapMasks) and not is_soft
            if is_bitmap and len(result.pos_priors):
                targets.append(crop_masks(result, objects.masks, rcnn_train_cfg.mask_size))
            else:
                targets.append(super().get_targets([result], [objects], rcnn_train_cfg))
        return torch.cat(targets)


class LargeMasksRTMDetHead(mmdet.RTMDetInsHead):
    """Base class of RTMDet-Ins heads that predict masks in less memory.

    mmdet resizes the logits of all candidates to the image in float32: 4.8 GB for 100 candidates in
    an image of 12 megapixels, and copies of it. This class reads the settings of
    :class:`FCNMaskHead`: it drops candidates under ``score_thr`` before NMS, where they suppress no
    better one, and makes the masks one by one if the logits would need over ``max_mask_bytes``.

    Remove it when mmdet does so too.
    """

    def _bbox_mask_post_process(
        self,
        results: InstanceData,
        mask_feat: Tensor,
        cfg: ConfigDict,
        rescale: bool = False,
        with_nms: bool = True,
        img_meta: dict[str, Any] | None = None,
    ) -> InstanceData:
        """Return the objects of an image with masks: (n, height, width) bool, or n RLE."""
        meta = img_meta or {}
        settings = {'cfg': cfg, 'rescale': rescale, 'with_nms': with_nms, 'img_meta': img_meta}
        results = results[results.scores >= meta.get('score_thr', -math.inf)]
        num_masks = min(len(results), cfg.max_per_img)
        if not num_masks or not rescale or not has_large_logits(num_masks, meta):
            return super()._bbox_mask_post_process(results, mask_feat, **settings)
        scale_factor = [1 / factor for factor in meta['scale_factor']]
        boxes = scale_boxes(get_box_tensor(results.bboxes), scale_factor)
        sides = boxes[:, 2:] - boxes[:, :2]
        is_kept = (sides > cfg.get('min_bbox_size', -1)).all(1)
        results = results[is_kept]
        detections, kept = batched_nms(boxes[is_kept], results.scores, results.labels, cfg.nms)
        results = results[kept]
        results.scores = detections[:, -1]
        results = results[: cfg.max_per_img]
        # One by one, so NMS keeps each.
        objects = []
        masks = []
        for index in range(len(results)):
            one = super()._bbox_mask_post_process(results[index : index + 1], mask_feat, **settings)
            masks.append(shrink_mask(one.pop('masks')[0], len(results), meta))
            objects.append(one)
        found = InstanceData.cat(objects) if objects else results
        found.masks = join_masks(masks, meta)
        return found


@MODELS.register_module()
class RTMDetInsHead(LargeMasksRTMDetHead):
    """mmdet's RTMDetInsHead, which predicts masks in less memory."""


@MODELS.register_module()
class RTMDetInsSepBNHead(LargeMasksRTMDetHead, mmdet.RTMDetInsSepBNHead):
    """mmdet's RTMDetInsSepBNHead, which predicts masks in less memory."""


@MODELS.register_module()
class MaskFormerFusionHead(mmdet.MaskFormerFusionHead):
    """mmdet's MaskFormerFusionHead, which predicts the masks of objects in less memory.

    mmdet resizes the logits of all queries to the image in float32: 4.8 GB for 100 queries in an
    image of 12 megapixels, and copies of it. This class reads the settings of :class:`FCNMaskHead`:
    if the logits would need over ``max_mask_bytes``, it makes the masks one by one, and none for a
    query whose class scores less than ``score_thr``, as its object scores no more.

    Remove it when mmdet does so too.
    """

    def predict(
        self,
        mask_cls_results: Tensor,
        mask_pred_results: Tensor,
        batch_data_samples: SampleList,
        rescale: bool = False,
        **kwargs: Any,
    ) -> list[dict[str, Any]]:
        """Return the objects of each image, as ``ins_results``, with masks: (n, height, width)
        bool, or n RLE.

        ``mask_cls_results`` are logits (B, queries, classes + 1), ``mask_pred_results`` logits (B,
        queries, h, w). Panoptic segmentations are mmdet's.
        """
        test_cfg = self.test_cfg
        finds_objects = test_cfg.get('instance_on', False) and not test_cfg.get('panoptic_on', True)
        results = []
        for index, sample in enumerate(batch_data_samples):
            meta = sample.metainfo
            image = slice(index, index + 1)
            # mmdet copies the masks of queries that are objects of several classes.
            num_masks = max(mask_pred_results.shape[1], test_cfg.get('max_per_image', 100))
            if finds_objects and rescale and has_large_logits(num_masks, meta):
                objects = self.find_objects(mask_cls_results[index], mask_pred_results[index], meta)
                results.append({'ins_results': objects})
            else:
                results += super().predict(
                    mask_cls_results[image], mask_pred_results[image], [sample], rescale, **kwargs
                )
        return results

    def find_objects(
        self, class_logits: Tensor, mask_logits: Tensor, img_meta: Mapping[str, Any]
    ) -> InstanceData:
        """Return the objects of an image, whose masks are made one by one.

        ``class_logits`` are (queries, classes + 1), ``mask_logits`` (queries, h, w).
        """
        num_best = self.test_cfg.get('max_per_image', 100)
        scores, indices = class_logits.softmax(-1)[:, :-1].flatten().topk(num_best, sorted=False)
        labels = indices % self.num_classes
        queries = indices // self.num_classes
        lowest = img_meta.get('score_thr', -math.inf)
        is_kept = (labels < self.num_things_classes) & (scores >= lowest)
        labels = labels[is_kept]
        height, width = img_meta['img_shape'][:2]
        kept_scores = []
        boxes = []
        masks = []
        for score, query in zip(scores[is_kept], queries[is_kept], strict=True):
            logits = functional.interpolate(
                mask_logits[None, None, query, :height, :width],
                size=img_meta['ori_shape'][:2],
                mode='bilinear',
            )[0, 0]
            mask = logits > 0
            inside = logits[mask].sigmoid()
            kept_scores.append(score * inside.sum() / (len(inside) + 1e-6))
            boxes.append(mask2bbox(mask[None]))
            masks.append(shrink_mask(mask, len(labels), img_meta))
        objects = InstanceData()
        objects.bboxes = torch.cat(boxes) if boxes else mask_logits.new_zeros(0, 4)
        objects.labels = labels
        objects.scores = torch.stack(kept_scores) if kept_scores else scores[:0]
        objects.masks = join_masks(masks, img_meta)
        return objects


def get_max_mask_bytes(img_meta: Mapping[str, Any]) -> float:
    """Return the memory that masks of an image may need as an array; infinite by default."""
    return img_meta.get('max_mask_bytes', math.inf)


def count_mask_bytes(num_masks: int, img_meta: Mapping[str, Any]) -> int:
    """Return the bytes of so many bool masks at the size of an image."""
    height, width = img_meta['ori_shape'][:2]
    return num_masks * height * width


def has_large_logits(num_masks: int, img_meta: Mapping[str, Any]) -> bool:
    """Return whether the float32 logits of so many masks, at the size of an image, would need more
    than ``max_mask_bytes``.
    """
    return 4 * count_mask_bytes(num_masks, img_meta) > get_max_mask_bytes(img_meta)


def shrink_mask(mask: Tensor, num_masks: int, img_meta: Mapping[str, Any]) -> Tensor | RLE:
    """Return one of an image's masks (height, width) bool as it is, or as RLE if all of them would
    need more than ``max_mask_bytes``.
    """
    if count_mask_bytes(num_masks, img_meta) > get_max_mask_bytes(img_meta):
        return encode_rle(mask.cpu().numpy())
    return mask


def join_masks(masks: list[Tensor | RLE], img_meta: Mapping[str, Any]) -> Tensor | list[RLE]:
    """Join masks of :func:`shrink_mask`: to a tensor (n, height, width), or a list of RLE."""
    tensors = [mask for mask in masks if isinstance(mask, Tensor)]
    encoded = [mask for mask in masks if not isinstance(mask, Tensor)]
    if encoded:
        return encoded
    if tensors:
        return torch.stack(tensors)
    return torch.zeros((0, *img_meta['ori_shape'][:2]), dtype=torch.bool)


def encode_pasted(mask: Tensor, box: Tensor) -> RLE:
    """Encode a mask (height, width) that is False beyond a pixel around its box (4,)."""
    height, width = mask.shape
    # A diverged network predicts NaN or infinite boxes.
    left, top, right, bottom = box.nan_to_num(0.0).tolist()
    rows = slice(max(0, math.floor(top) - 1), max(0, min(height, math.ceil(bottom) + 1)))
    columns = slice(max(0, math.floor(left) - 1), max(0, min(width, math.ceil(right) + 1)))
    crop = mask[rows, columns].cpu().numpy()
    return encode_crop(crop, corner=(columns.start, rows.start), size=(height, width))


def crop_masks(result: SamplingResult, masks: BitmapMasks, size: int | tuple[int, int]) -> Tensor:
    """Return the masks (n, h, w), 0 or 1, inside of the n positive boxes of a sampling result."""
    boxes = clip_boxes_to_image(result.pos_priors, (masks.height, masks.width))
    objects, numbers = result.pos_assigned_gt_inds.unique(return_inverse=True)
    rois = torch.cat([numbers.unsqueeze(1), boxes], 1)
    maps = torch.from_numpy(masks.masks).to(boxes.device)[objects].to(boxes.dtype).unsqueeze(1)
    return (roi_align(maps, rois, size).squeeze(1) >= 0.5).float()


class RefPointHead(layers.MLP):
    """MLP from encoded reference boxes to positional queries, as in the authors' DINO, mmdet 3.3.0
    and detrex.

    mmdet 3.3.0 encodes each coordinate of a box as C / 2 features (128 for 256 channels). Its
    maintained fork, onedl-mmdetection 3.5.1, encodes each as C features (issue 25 of the fork), so
    that released weights do not fit. This class selects every second frequency, as mmdet 3.3.0 has.
    Remove it when the fork encodes like mmdet 3.3.0.
    """

    def __init__(self, channels: int):
        super().__init__(
            input_dim=2 * channels, hidden_dim=channels, output_dim=channels, num_layers=2
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map sine encodings (B, n, 4 * F) of boxes to queries (B, n, C).

        F is C / 2 or a multiple of C / 2.
        """
        # The last dimension is a sine and a cosine of one frequency.
        frequencies = x.unflatten(-1, (4, -1, 2))
        step = x.shape[-1] // self.layers[0].in_features
        return super().forward(frequencies[..., ::step, :].flatten(-3))


@MODELS.register_module()
class DINO(mmdet.DINO):
    """mmdet's DINO with :class:`RefPointHead`. It trains its transformer and head in float32 even
    with AMP.

    Remove this class when :class:`RefPointHead` is removed and mmcv's deformable attention supports
    bfloat16.
    """

    def _init_layers(self) -> None:
        super()._init_layers()
        self.decoder.ref_point_head = RefPointHead(self.embed_dims)

    def loss(self, batch_inputs: Tensor, batch_data_samples: SampleList) -> dict[str, Tensor]:
        """Return the losses, by name, of images (B, 3, H, W) with ground truth."""
        feats = self.extract_feat(batch_inputs)
        with torch.autocast(batch_inputs.device.type, enabled=False):
            head_inputs = self.forward_transformer(make_float32(feats), batch_data_samples)
            return self.bbox_head.loss(**head_inputs, batch_data_samples=batch_data_samples)


@MODELS.register_module()
class MSDeformAttnPixelDecoder(layers.MSDeformAttnPixelDecoder):
    """mmdet's pixel decoder of Mask2Former in float32, as in the authors' code.

    Remove it when mmdet's is so too.
    """

    def forward(self, feats: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Turn features (B, C_i, H_i, W_i) into mask features (B, C, H_0, W_0) and a list of maps,
        smallest first.
        """
        with torch.autocast(feats[0].device.type, enabled=False):
            return super().forward(make_float32(feats))


class IgnoringAssigner(task_modules.BaseAssigner):
    """Base class of assigners that do not train background on ignored objects, such as crowds.

    mmdet's MaxIoUAssigner does if an image has no other objects, and mmdet's other assigners do
    always, so remove these classes when they no longer do. More than ``ignore_iof_thr`` of a box
    must be inside of an ignored object. With 0 or less, as in mmdet, ignored objects are
    background.
    """

    def __init__(self, ignore_iof_thr: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.max_iof = ignore_iof_thr

    def assign(
        self,
        pred_instances: InstanceData,
        gt_instances: InstanceData,
        gt_instances_ignore: InstanceData | None = None,
    ) -> AssignResult:
        """Assign n predictions.

        ``gt_inds`` (n,) of the result is -1 for background on an ignored object.
        """
        result = super().assign(pred_instances, gt_instances)
        # The priors of a detector without anchors are points.
        boxes = pred_instances.get('bboxes', pred_instances.priors)
        if self.max_iof <= 0 or not gt_instances_ignore or len(boxes) == 0:
            return result
        iofs = self.iou_calculator(boxes, gt_instances_ignore.bboxes, mode='iof').amax(1)
        result.gt_inds[(result.gt_inds == 0) & (iofs > self.max_iof)] = -1
        # Without any sample, mmdet's heads leave out losses, and DistributedDataParallel would miss
        # gradients.
        if (result.gt_inds < 0).all():
            result.gt_inds[iofs.argmin()] = 0
        return result


@TASK_UTILS.register_module()
class MaxIoUAssigner(IgnoringAssigner, task_modules.MaxIoUAssigner):
    """mmdet's MaxIoUAssigner as an :class:`IgnoringAssigner`, which waits for the GPU once.

    mmdet matches each object with its best boxes in a loop, which waits at each object.
    """

    match_low_quality: bool

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.matches_best = self.match_low_quality and self.gt_max_assign_all
        if self.matches_best:
            self.match_low_quality = False  # of mmdet's loop

    def assign_wrt_overlaps(self, overlaps: Tensor, gt_labels: Tensor) -> AssignResult:
        """Assign n boxes to k objects, given their IoU (k, n) and the objects' labels (k,)."""
        result = super().assign_wrt_overlaps(overlaps, gt_labels)
        if self.matches_best and overlaps.numel():
            best = overlaps.amax(1, keepdim=True)
            is_best = (overlaps == best) & (best >= self.min_pos_iou)
            numbers = torch.arange(1, len(overlaps) + 1, device=overlaps.device).unsqueeze(1)
            # A box that is the best of several objects is the last one's.
            gt_inds = torch.where(is_best, numbers, 0).amax(0)
            result.gt_inds = torch.where(gt_inds > 0, gt_inds, result.gt_inds)
            result.labels = torch.where(gt_inds > 0, gt_labels[gt_inds - 1], result.labels)
        return result


@TASK_UTILS.register_module()
class DynamicSoftLabelAssigner(IgnoringAssigner, task_modules.DynamicSoftLabelAssigner):
    """mmdet's DynamicSoftLabelAssigner as an :class:`IgnoringAssigner`."""


@TASK_UTILS.register_module()
class RandomSampler(task_modules.RandomSampler):
    """mmdet's RandomSampler, which permutes on the boxes' device.

    mmdet permutes all anchors on the CPU, because of a bug that torch 1.9 fixed (pytorch#59756).
    Remove this class when mmdet does so no more.
    """

    def random_choice(self, gallery: Tensor, num: int) -> Tensor:
        """Return ``num`` random elements of ``gallery`` (n,)."""
        return gallery[torch.randperm(len(gallery), device=gallery.device)[:num]]


@TASK_UTILS.register_module()
class HungarianAssigner(task_modules.HungarianAssigner):
    """mmdet's HungarianAssigner in float32, which also matches NaN and infinite predictions.

    SciPy raises an error for NaN costs, which would end the run. With this class, the loss becomes
    NaN or infinite instead, and ``SkipNonFiniteStepHook`` skips the step. Remove this class when
    mmdet handles NaN costs.
    """

    def assign(self, pred_instances: InstanceData, *args: Any, **kwargs: Any) -> AssignResult:
        """Match predictions with ``scores`` (n, C), ``bboxes`` (n, 4) or ``masks`` (n, ...) to the
        ground truth.
        """
        # The limit is larger than a network's usual logits, and than the side of any image in
        # pixels.
        finite = {
            name: values.float().nan_to_num().clamp(-1e6, 1e6)
            for name, values in pred_instances.items()
        }
        with torch.autocast(pred_instances.scores.device.type, enabled=False):
            return super().assign(InstanceData(**finite), *args, **kwargs)


@TRANSFORMS.register_module()
class ApplyExifAsAnnotated(BaseTransform):
    """Ignore an image's EXIF rotation if its annotations were made without it.

    mmcv applies the EXIF rotation, but some tools annotate the pixels as stored. Then width and
    height are swapped, boxes are outside of the image, and clipping leaves boxes without area,
    whose losses are NaN. The transform detects such images by their swapped size. So it misses
    square images and rotations by 180 degrees. It follows ``LoadImageFromFile``, whose
    ``backend_args`` it needs, and changes ``img``, ``img_shape`` and ``ori_shape``. Remove this
    transform when mmdet compares an image's size with the annotated one.
    """

    def __init__(self, backend_args: dict[str, Any] | None = None):
        self.load_unrotated = LoadImageFromFile(
            color_type='color_ignore_orientation', backend_args=backend_args
        )

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        annotated_shape = results.get('height'), results.get('width')
        height, width = results['img'].shape[:2]
        if annotated_shape == (width, height) and width != height:
            unrotated = self.load_unrotated({'img_path': results['img_path']})
            if unrotated['img_shape'] == annotated_shape:
                results.update(unrotated, img=unrotated['img'].astype(results['img'].dtype))
        return results


@TRANSFORMS.register_module()
class Mosaic(MMDetMosaic):
    """mmdet's Mosaic, which also combines the masks of four images.

    mmdet combines images, boxes and labels, but leaves ``gt_masks`` as they were: those of the
    first image, or an IndexError of the next transform. Remove this class when mmdet's combines
    them too.
    """

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Combine a sample with the three of ``mix_results``."""
        self.places: list[Place] = []
        if 'gt_masks' not in results:
            return super().transform(results)
        samples = [results, *results['mix_results']]
        flags = np.concatenate([sample['gt_ignore_flags'] for sample in samples])
        # mmdet drops objects outside of the mosaic. Their numbers, in the place of the flags, say
        # which are left.
        numbers = np.split(
            np.arange(len(flags)), np.cumsum([len(each['gt_ignore_flags']) for each in samples[:3]])
        )
        numbered = [
            {**sample, 'gt_ignore_flags': part, 'gt_masks': None}
            for sample, part in zip(samples, numbers, strict=True)
        ]
        mosaic = super().transform({**numbered[0], 'mix_results': numbered[1:]})
        if not self.places:  # by its probability, there is no mosaic
            return results
        masks = [
            self.place_masks(sample['gt_masks'], place)
            for sample, place in zip(samples, self.places, strict=True)
        ]
        kept = mosaic['gt_ignore_flags']
        mosaic['gt_ignore_flags'] = flags[kept]
        mosaic['gt_masks'] = masks[0].cat(masks)[kept]
        return mosaic

    def _mosaic_combine(self, *args: Any, **kwargs: Any) -> Place:
        place = super()._mosaic_combine(*args, **kwargs)
        self.places.append(place)
        return place

    def place_masks(self, masks: Masks, place: Place) -> Masks:
        """Resize masks (n, h, w) as their image, and put them where it is put in the mosaic."""
        width, height = self.img_scale
        ratio = min(height / masks.height, width / masks.width)
        resized = masks.resize((int(masks.height * ratio), int(masks.width * ratio)))
        size = (2 * height, 2 * width)
        (left, top, right, bottom), (crop_left, crop_top, crop_right, crop_bottom) = place
        if isinstance(resized, PolygonMasks):
            moved = resized.translate(size, left - crop_left, 'horizontal')
            return moved.translate(size, top - crop_top, 'vertical')
        placed = np.zeros((len(resized), *size), np.uint8)
        cropped = resized.masks[:, crop_top:crop_bottom, crop_left:crop_right]
        placed[:, top:bottom, left:right] = cropped
        return BitmapMasks(placed, *size)


MAX_DETECTIONS = 100_000  # of a class in an image that count; models return fewer


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """mmdet's CocoMetric, of which each score counts all detections.

    mmdet computes mAP from at most 100 detections of a class in an image, and mAP_50 from at most
    1,000. Remove this class when one argument sets both limits.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        # The fourth of mmdet's arguments
        if len(args) > 3 or 'proposal_nums' in kwargs:
            raise UserError(
                'CocoMetric of mmgcvit counts all detections, so it takes no proposal_nums. Remove '
                'it, or use mmdet.CocoMetric instead of mmgcvit.CocoMetric'
            )
        super().__init__(*args, **kwargs, proposal_nums=3 * [MAX_DETECTIONS])

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Return the scores by name, of results as mmdet's ``process`` collects them."""
        compute = replace_globals(MMDetCocoMetric.compute_metrics, COCOeval=UnlimitedCOCOeval)
        return compute(self, results)


# The scores of pycocotools' summary in its order, which mmdet knows: of precision or recall, at an
# IoU threshold (None: the mean over all), of objects of a size. The three limits of recall are one.
SUMMARY = (
    ('precision', None, 'all'),
    ('precision', 0.5, 'all'),
    ('precision', 0.75, 'all'),
    ('precision', None, 'small'),
    ('precision', None, 'medium'),
    ('precision', None, 'large'),
    ('recall', None, 'all'),
    ('recall', None, 'all'),
    ('recall', None, 'all'),
    ('recall', None, 'small'),
    ('recall', None, 'medium'),
    ('recall', None, 'large'),
)


class UnlimitedCOCOeval(COCOeval):
    """pycocotools' evaluation with a summary of one limit of detections.

    pycocotools looks mAP up under the limit 100, whatever its limits are.
    """

    def summarize(self) -> None:
        """Compute the scores of :data:`SUMMARY`, and print them."""
        self.stats = np.array([self.compute_mean(*row) for row in SUMMARY])
        for (name, threshold, size), score in zip(SUMMARY, self.stats, strict=True):
            iou = f'{self.params.iouThrs[0]:.2f}:{self.params.iouThrs[-1]:.2f}'
            if threshold is not None:
                iou = f'{threshold:.2f}'
            title = f'Average {name.capitalize()}'
            print(  # noqa: T201
                f' {title:<17} @[ IoU={iou:<9} | area={size:>6} | maxDets={MAX_DETECTIONS} ] = '
                f'{score:.3f}'
            )

    def compute_mean(self, name: str, threshold: float | None, size: str) -> float:
        """Return the mean of a score over the classes that have objects, or -1 without any."""
        # The axes are [IoU threshold, class, object size, number of detections], for precision with
        # one of recall before the class.
        values = self.eval[name][..., self.params.areaRngLbl.index(size), -1]
        if threshold is not None:
            values = values[self.params.iouThrs == threshold]
        values = values[values > -1]
        return values.mean() if len(values) else -1.0
