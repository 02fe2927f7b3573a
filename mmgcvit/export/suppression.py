"""Non-maximum suppression of a whole batch as ONNX's own operator, and as torchvision's where nothing is exported."""

from typing import Any

import torch
from torch import Tensor
from torchvision.ops import nms

# As many as there are: the operator asks for a number, which runtimes keep in 32 bits.
ALL_BOXES = 2**31 - 1


class NonMaxSuppression(torch.autograd.Function):
    """Boxes (B, N, 4) with their scores (B, K, N) in K classes to the places of those that are kept, (n, 3).

    A row is image, class and box. A box is a candidate where its score is greater than a threshold, and is dropped
    where its overlap (IoU) with one of a higher score of the same image and class is greater than another.
    """

    @staticmethod
    def forward(ctx: Any, boxes: Tensor, scores: Tensor, iou_threshold: float, score_thr: float) -> Tensor:
        rows = [torch.zeros((0, 3), dtype=torch.int64, device=boxes.device)]
        for image, label in torch.cartesian_prod(torch.arange(scores.shape[0]), torch.arange(scores.shape[1])).tolist():
            candidates = (scores[image, label] > score_thr).nonzero().squeeze(1)
            kept = candidates[nms(boxes[image, candidates], scores[image, label, candidates], iou_threshold)]
            rows.append(torch.stack([torch.full_like(kept, image), torch.full_like(kept, label), kept], dim=1))
        return torch.cat(rows)

    @staticmethod
    def symbolic(g: Any, boxes: Any, scores: Any, iou_threshold: float, score_thr: float) -> Any:
        places = g.op(
            'NonMaxSuppression',
            boxes,
            scores,
            g.op('Constant', value_t=torch.tensor([ALL_BOXES])),
            g.op('Constant', value_t=torch.tensor([iou_threshold])),
            g.op('Constant', value_t=torch.tensor([score_thr])),
        )
        # Else the exporter takes the number that the example has for the number that there always is.
        places.setType(boxes.type().with_dtype(torch.int64).with_sizes([None, 3]))
        return places


# Of places that nothing is at; scores are from 0 to 1, and places are told apart halfway.
NOTHING = -1.0
IS_SOMETHING = -0.5


def suppressed(boxes: Tensor, scores: Tensor, iou_threshold: float, score_thr: float) -> Tensor:
    """Scores (B, K, N) of boxes (B, N, 4), with ``NOTHING`` for those that suppression drops.

    Args:
        boxes: Corners in pixels.
        scores: From 0 to 1; ``NOTHING`` where there is no box.
        iou_threshold: Of two boxes that overlap more the one with the lower score is dropped.
        score_thr: Boxes of this score or lower are dropped.
    """
    image, label, place = NonMaxSuppression.apply(boxes, scores, iou_threshold, score_thr).unbind(1)
    flat = scores.flatten()
    index = (image * scores.shape[1] + label) * scores.shape[2] + place
    kept = nothing_like(flat).scatter(0, index, flat[index])
    return kept.reshape_as(scores)


def nothing_like(scores: Tensor) -> Tensor:
    """``NOTHING`` in the shape of some scores; of ``torch.full_like`` the exporter makes a constant of one shape."""
    return scores.clamp(max=NOTHING)
