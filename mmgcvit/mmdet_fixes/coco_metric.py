"""COCO's metric without a limit of detections."""

import warnings
from typing import Any

import numpy as np
from mmdet.datasets.api_wrappers import COCOeval

from ..errors import UserError
from ..private_api import replace_globals
from ..registry import METRICS

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
