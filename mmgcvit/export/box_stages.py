"""The box heads of a detector as a part of a graph: one of Mask R-CNN, several in a row of Cascade R-CNN.

Legend: B batch, P proposals of an image, K classes.
"""

from collections.abc import Sequence

import torch
from mmdet.models import ConvFCBBoxHead
from torch import Tensor, nn

from ..inference import UserError
from .decoding import check_coder, decoded
from .roi_features import RoIFeatures


class BoxStages(nn.Module):
    """What a detector's box heads find at proposals.

    Args:
        heads: One head, or Cascade's, each of which looks at the boxes of the one before.
        extractors: Their RoI extractors.

    Raises:
        UserError: A head is another one than this package's detectors have.
    """

    def __init__(self, heads: Sequence[nn.Module], extractors: Sequence[nn.Module]) -> None:
        super().__init__()
        for head in heads:
            check_box_head(head)
        self.heads = nn.ModuleList(heads)
        self.features = nn.ModuleList(RoIFeatures(extractor) for extractor in extractors)

    def forward(self, maps: tuple[Tensor, ...], boxes: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, C, H_i, W_i) of images of ``size`` and proposals (B, P, 4) to objects of every class.

        Returns:
            Boxes (B, K, P, 4) and scores (B, K, P). Cascade's scores are those of all heads, averaged before softmax.
        """
        found = []
        for number, (head, features) in enumerate(zip(self.heads, self.features, strict=True)):
            scores, deltas = head(features(maps, regions_of(boxes)))
            # Not by unflatten, of which the exporter makes the example's sizes.
            images, proposals = boxes.shape[:2]
            found.append(scores.reshape(images, proposals, -1))
            # Of one box for all classes, or one for each.
            by_class = deltas.reshape(images, proposals, -1, 4)
            by_class = decoded(boxes.unsqueeze(2), by_class, head.bbox_coder, size)
            if number < len(self.heads) - 1:
                boxes = boxes_of_likeliest(by_class, found[-1])
        scores = (sum(found) / len(found)).softmax(-1)[..., :-1].transpose(1, 2)
        return by_class.transpose(1, 2).expand(-1, scores.shape[1], -1, -1), scores


def check_box_head(head: nn.Module) -> None:
    """Refuse heads that :class:`BoxStages` would read wrongly.

    Raises:
        UserError: It is another kind, without boxes, or with scores of another kind than softmax.
    """
    if not isinstance(head, ConvFCBBoxHead) or not head.with_reg or head.custom_cls_channels:
        raise UserError(
            f'the detector has the box head {type(head).__name__}; exported are Shared2FCBBoxHead, '
            'Shared4Conv1FCBBoxHead and ConvFCBBoxHead, with boxes and softmax scores'
        )
    check_coder(head.bbox_coder)


def regions_of(boxes: Tensor) -> Tensor:
    """Boxes of all images (B, P, 4) as regions (B*P, 5), their image's index before their corners."""
    images = torch.arange(boxes.shape[0], device=boxes.device, dtype=boxes.dtype)
    return torch.cat([images[:, None, None].expand(-1, boxes.shape[1], -1), boxes], dim=-1).flatten(0, 1)


def boxes_of_likeliest(by_class: Tensor, scores: Tensor) -> Tensor:
    """Of boxes (B, P, K or 1, 4) those of the likeliest object class by scores (B, P, K + 1): (B, P, 4)."""
    if by_class.shape[2] == 1:
        return by_class.squeeze(2)
    likeliest = scores[..., :-1].argmax(-1)
    return by_class.gather(2, likeliest[..., None, None].expand(-1, -1, 1, 4)).squeeze(2)
