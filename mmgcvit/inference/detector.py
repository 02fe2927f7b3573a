"""Detection and instance segmentation, through mmdet's ``DetInferencer``."""

from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData

from ..errors import UserError
from .hosts import same_colours
from .predictor import Predictor
from .results import Detections


class Detector(Predictor):
    """A detector; see :class:`Predictor`.

    Attributes:
        score_thr: Objects of lower scores are left out.
    """

    task = 'detection'
    scope = 'mmdet'
    visualizer = 'DetLocalVisualizer'
    score_thr = 0.3

    @staticmethod
    def inferencer_of(cfg: Config, device: torch.device) -> Any:
        from mmdet.apis import DetInferencer

        return DetInferencer(cfg, device=str(device))

    def prepared(self, image: np.ndarray) -> Any:
        return self.inferencer.pipeline(image)

    def group_of(self, packed: Any) -> Any:
        """One group: mmdet pads images of other shapes."""
        return None

    def prediction_of(self, sample: Any) -> Detections:
        if 'pred_instances' not in sample:
            raise UserError('the model predicts no objects with boxes')
        objects = sample.pred_instances.cpu()
        # A network that has burst finds boxes without numbers.
        kept = (objects.scores >= self.score_thr) & torch.isfinite(objects.bboxes).all(1)
        objects = objects[kept]
        labels = objects.labels.numpy().astype(np.int64)
        return Detections(
            boxes=objects.bboxes.numpy().astype(np.float32),
            scores=objects.scores.numpy().astype(np.float32),
            labels=labels,
            class_names=self.names(labels),
            masks=objects.masks.numpy().astype(bool) if 'masks' in objects else None,
        )

    def drawn(self, image: np.ndarray, prediction: Detections) -> np.ndarray:
        from mmdet.structures import DetDataSample

        objects = InstanceData(
            bboxes=torch.from_numpy(prediction.boxes),
            scores=torch.from_numpy(prediction.scores),
            labels=torch.from_numpy(prediction.labels),
        )
        if prediction.masks is not None:
            objects.masks = torch.from_numpy(prediction.masks)
        visualizer = self.inferencer.visualizer
        visualizer.dataset_meta = {'classes': self.classes, 'palette': self.palette}
        sample = DetDataSample(pred_instances=objects)
        with same_colours():
            visualizer.add_datasample('', image, sample, draw_gt=False, pred_score_thr=-1.0)
        return visualizer.get_image()
