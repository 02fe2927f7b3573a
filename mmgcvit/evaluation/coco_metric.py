"""COCO's metric without a limit of detections, for crowded images."""

import io
from contextlib import redirect_stdout
from typing import Any

from mmdet.evaluation.metrics import coco_metric

from ..registry import METRICS

MAX_DETECTIONS = 100_000  # of a class in an image that count; models return fewer


@METRICS.register_module()
class CocoMetric(coco_metric.CocoMetric):
    """mmdet's CocoMetric, of which each score counts all detections.

    mmdet computes mAP from at most 100 detections of a class in an image, and mAP_50 from at most
    1,000.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs, proposal_nums=3 * [MAX_DETECTIONS])


class UnlimitedCOCOeval(coco_metric.COCOeval):
    """pycocotools' evaluation, whose summary finds scores of another limit than 100."""

    def summarize(self) -> None:
        """Compute the scores, and print them."""
        limits = self.params.maxDets
        if limits == 3 * [MAX_DETECTIONS]:
            self.params.maxDets = [100, 100, 100]  # the limit under which it looks scores up
        with redirect_stdout(io.StringIO()) as text:
            super().summarize()
        print(text.getvalue().replace('maxDets=100 ', f'maxDets={limits[-1]} '), end='')  # noqa: T201


coco_metric.COCOeval = UnlimitedCOCOeval
