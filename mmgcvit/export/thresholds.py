"""What test settings of a detector say of suppression."""

from mmengine.config import ConfigDict

from ..inference import UserError


def iou_threshold_of(nms: ConfigDict) -> float:
    """The overlap from which on the box with the lower score is dropped.

    Raises:
        UserError: It is another kind of suppression than the plain one, class by class.
    """
    others = sorted(set(nms) - {'type', 'iou_threshold', 'split_thr'})
    if nms.get('type', 'nms') != 'nms' or others:
        raise UserError(
            f'the detector suppresses overlaps by {dict(nms)}; exported is dict(type="nms", iou_threshold=...) alone'
        )
    return float(nms.iou_threshold)
