"""Test-time augmentation of detectors with masks; mmdet's own merges boxes only."""

from mmcv.ops import batched_nms
from mmdet.models import DetTTAModel
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox_flip
from mmengine.structures import InstanceData
from torch import Tensor

from ..registry import MODELS

FLIPPED_DIMS = {'horizontal': (-1,), 'vertical': (-2,), 'diagonal': (-2, -1)}


@MODELS.register_module()
class InstanceTTAModel(DetTTAModel):
    """Pool the instances of all views of an image, flipped back, and keep what non-maximum suppression leaves.

    Each surviving box brings the mask of the view it comes from. Takes ``tta_cfg`` as mmdet's ``DetTTAModel`` does:
    ``dict(nms=dict(type='nms', iou_threshold=0.5), max_per_img=100)``.
    """

    def _merge_single_sample(self, data_samples: list[DetDataSample]) -> DetDataSample:
        pooled = InstanceData.cat([unflipped_instances(sample) for sample in data_samples])
        merged = data_samples[0]
        if len(pooled):
            boxes, kept = batched_nms(pooled.bboxes, pooled.scores, pooled.labels, self.tta_cfg['nms'])
            pooled = pooled[kept]
            pooled.scores = boxes[:, -1]
        merged.pred_instances = pooled[: self.tta_cfg['max_per_img']]
        return merged


def unflipped_instances(sample: DetDataSample) -> InstanceData:
    """The instances of one view, boxes (n, 4) and masks (n, H, W), where they are in the image as it was."""
    found = sample.pred_instances.new()
    if sample.get('flip', False):
        found.bboxes = bbox_flip(found.bboxes, sample.ori_shape, sample.flip_direction)
        if 'masks' in found:
            found.masks = flip_masks(found.masks, sample.flip_direction)
    return found


def flip_masks(masks: Tensor, direction: str) -> Tensor:
    """Mirror masks (n, H, W): ``'horizontal'``, ``'vertical'`` or ``'diagonal'`` (both)."""
    return masks.flip(FLIPPED_DIMS[direction])
