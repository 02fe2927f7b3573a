"""The region proposal network of a detector as a part of a graph: what mmdet's ``RPNHead`` predicts for a batch.

Legend: B batch, A anchors at a place of a map, n_i anchors taken of level i, N their sum, P proposals of an image.
"""

import torch
from mmdet.models import RPNHead
from mmengine.config import ConfigDict
from torch import Tensor, nn

from ..inference import UserError
from .decoding import check_coder, decoded
from .suppression import IS_SOMETHING, NOTHING, nothing_like, suppressed
from .thresholds import iou_threshold_of


class Proposals(nn.Module):
    """Proposals of all images of a batch, as many of each.

    Args:
        head: The detector's.
        test_cfg: ``nms_pre``, ``nms``, ``max_per_img`` and ``min_bbox_size``.

    Raises:
        UserError: The head is another one, or predicts otherwise than this package's do.
    """

    def __init__(self, head: nn.Module, test_cfg: ConfigDict) -> None:
        super().__init__()
        if not isinstance(head, RPNHead) or not head.use_sigmoid_cls:
            raise UserError(f'the detector proposes by {type(head).__name__}; exported is RPNHead by sigmoid')
        check_coder(head.bbox_coder)
        self.head = head
        self.iou_threshold = iou_threshold_of(test_cfg.nms)
        self.nms_pre = test_cfg.get('nms_pre', -1)
        self.max_per_img = test_cfg.max_per_img
        self.min_bbox_size = test_cfg.get('min_bbox_size', -1)

    def forward(self, maps: tuple[Tensor, ...], size: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, C, H_i, W_i) of images of ``size``, height and width, to proposals, the likeliest first.

        Returns:
            Boxes (B, P, 4), and whether they are proposals, (B, P): the last ones of an image may be none.
        """
        scores, deltas = self.head(maps)
        anchors = self.head.prior_generator.grid_priors([s.shape[-2:] for s in scores], device=size.device)
        levels = [self.best_of_level(*level) for level in zip(scores, deltas, anchors, strict=True)]
        # Boxes overlap those of their own level only: a level is to suppression what a class is.
        by_level = [
            torch.cat([s if i == level else nothing_like(s) for i, (s, _, _) in enumerate(levels)], dim=1)
            for level in range(len(levels))
        ]
        deltas, anchors = (torch.cat(parts, dim=1) for parts in list(zip(*levels, strict=True))[1:])
        boxes = decoded(anchors, deltas, self.head.bbox_coder, size)
        scores = torch.stack(by_level, dim=1)
        if self.min_bbox_size >= 0:
            is_large = (boxes[..., 2:] - boxes[..., :2] > self.min_bbox_size).all(-1)
            scores = scores.masked_fill(~is_large.unsqueeze(1), NOTHING)
        kept = suppressed(boxes, scores, self.iou_threshold, IS_SOMETHING).amax(1)
        kept, order = kept.sort(dim=1, descending=True)
        kept, order = kept[:, : self.max_per_img], order[:, : self.max_per_img]
        return boxes.gather(1, order.unsqueeze(-1).expand(-1, -1, 4)), kept > IS_SOMETHING

    def best_of_level(self, scores: Tensor, deltas: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of scores (B, A, H_i, W_i), deltas (B, 4A, H_i, W_i) and anchors (A * H_i * W_i, 4) the likeliest.

        Returns:
            Scores from 0 to 1, (B, n_i), the highest first; their deltas and anchors, (B, n_i, 4).
        """
        scores, order = scores.permute(0, 2, 3, 1).flatten(1).sigmoid().sort(dim=1, descending=True)
        if self.nms_pre > 0:
            scores, order = scores[:, : self.nms_pre], order[:, : self.nms_pre]
        deltas = deltas.permute(0, 2, 3, 1).reshape(deltas.shape[0], -1, 4)
        return scores, deltas.gather(1, order.unsqueeze(-1).expand(-1, -1, 4)), anchors[order]
