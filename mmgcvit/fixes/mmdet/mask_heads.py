"""Mask heads that need less memory: of large images in inference, of many boxes in training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmcv.ops import batched_nms, roi_align
from mmdet import models as mmdet
from mmdet.models.task_modules import SamplingResult
from mmdet.structures import SampleList
from mmdet.structures.bbox import get_box_tensor, scale_boxes
from mmdet.structures.mask import BitmapMasks, mask2bbox
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional
from torchvision.ops import clip_boxes_to_image

from ...ops.rle import RLE, encode_crop, encode_rle
from ...registry import MODELS

LOGIT_BYTES = 4  # of a float32 for each pixel


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
        is_large = MaskMemory(img_meta).is_exceeded(len(bboxes))
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
        memory = MaskMemory(meta)
        if not num_masks or not rescale or not memory.is_exceeded(num_masks, LOGIT_BYTES):
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
            masks.append(memory.shrink(one.pop('masks')[0], len(results)))
            objects.append(one)
        found = InstanceData.cat(objects) if objects else results
        found.masks = memory.join(masks)
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
            is_large = MaskMemory(meta).is_exceeded(num_masks, LOGIT_BYTES)
            if finds_objects and rescale and is_large:
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
        masks = []
        for score, query in zip(scores[is_kept], queries[is_kept], strict=True):
            masks.append(make_query_mask(mask_logits[query], score, len(labels), img_meta))
        objects = InstanceData()
        objects.bboxes = torch.cat([x.box for x in masks]) if masks else mask_logits.new_zeros(0, 4)
        objects.labels = labels
        objects.scores = torch.stack([x.score for x in masks]) if masks else scores[:0]
        objects.masks = MaskMemory(img_meta).join([x.mask for x in masks])
        return objects


@dataclass(frozen=True)
class QueryMask:
    """The mask of a query of Mask2Former, and what is computed from its logits."""

    mask: Tensor | RLE  # (height, width) bool
    box: Tensor  # (1, 4)
    score: Tensor  # (), of the class, times the mean probability in the mask


def make_query_mask(
    logits: Tensor, class_score: Tensor, num_masks: int, img_meta: Mapping[str, Any]
) -> QueryMask:
    """Return the mask of a query at the size of the image, of which there are ``num_masks``.

    ``logits`` (h, w) are those of the padded input.
    """
    height, width = img_meta['img_shape'][:2]
    resized = functional.interpolate(
        logits[None, None, :height, :width], size=img_meta['ori_shape'][:2], mode='bilinear'
    )[0, 0]
    mask = resized > 0
    inside = resized[mask].sigmoid()
    return QueryMask(
        mask=MaskMemory(img_meta).shrink(mask, num_masks),
        box=mask2bbox(mask[None]),
        score=class_score * inside.sum() / (len(inside) + 1e-6),
    )


@dataclass(frozen=True)
class MaskMemory:
    """How the masks of an image are kept: as an array, or as RLE if that needs too much memory."""

    img_meta: Mapping[str, Any]  # of mmdet's sample, with ``max_mask_bytes`` if there is a limit

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image."""
        height, width = self.img_meta['ori_shape'][:2]
        return height, width

    def is_exceeded(self, num_masks: int, itemsize: int = 1) -> bool:
        """Return whether so many masks, in arrays with so many bytes for each pixel, would need
        more than the limit.
        """
        height, width = self.size
        limit = self.img_meta.get('max_mask_bytes', math.inf)
        return num_masks * height * width * itemsize > limit

    def shrink(self, mask: Tensor, num_masks: int) -> Tensor | RLE:
        """Return one of the image's masks (height, width) bool as it is, or as RLE if all of them
        would need more than the limit.
        """
        return encode_rle(mask.cpu().numpy()) if self.is_exceeded(num_masks) else mask

    def join(self, masks: list[Tensor | RLE]) -> Tensor | list[RLE]:
        """Join masks of :meth:`shrink`: to a tensor (n, height, width), or a list of RLE."""
        tensors = [mask for mask in masks if isinstance(mask, Tensor)]
        encoded = [mask for mask in masks if not isinstance(mask, Tensor)]
        if encoded:
            return encoded
        if tensors:
            return torch.stack(tensors)
        return torch.zeros((0, *self.size), dtype=torch.bool)


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
