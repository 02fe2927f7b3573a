"""COCO's metric without a limit of detections."""

import warnings
from typing import Any

from mmdet.datasets.api_wrappers import COCOeval

from ...errors import UserError
from ...host.private_api import replace_globals
from ...registry import METRICS

with warnings.catch_warnings():
    # The fork warns that it lacks the package of a metric that this project does not use.
    warnings.filterwarnings('ignore', 'faster_coco_eval is not installed')
    from mmdet.evaluation import CocoMetric as MMDetCocoMetric

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
        """Return the scores by name, of results as mmdet's ``process`` collects them.

        mmdet's method takes its evaluation from the global name COCOeval, so a copy of it runs with
        another one. If mmdet renames it, ``replace_globals`` raises an error.
        """
        compute = replace_globals(MMDetCocoMetric.compute_metrics, COCOeval=UnlimitedCOCOeval)
        return compute(self, results)


class UnlimitedCOCOeval(COCOeval):
    """pycocotools' evaluation with a summary of one limit of detections.

    pycocotools looks mAP up under the limit 100, whatever its limits are.
    """

    def summarize(self) -> None:
        """Compute pycocotools' scores, all of :data:`MAX_DETECTIONS`, and print them."""
        limits = self.params.maxDets
        self.params.maxDets = len(limits) * [100]  # the name of all of them, which are equal
        try:
            super().summarize()
        finally:
            self.params.maxDets = limits
