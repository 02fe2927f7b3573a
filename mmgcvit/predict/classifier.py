"""Predict the class of an image."""

import numpy as np
from mmengine.structures import BaseDataElement

from ..errors import UserError
from ..host.tasks import CLASSIFICATION
from .predictor import Predictor
from .results import Classification


class Classifier(Predictor[Classification]):
    """Predictor for image classification."""

    task = CLASSIFICATION.name
    can_tile = False

    def read_sample(self, sample: BaseDataElement) -> Classification:
        scores = sample.pred_score.float().cpu().numpy()
        if not np.isfinite(scores).all():  # JSON has no NaN
            raise UserError('its scores are NaN or infinite. Use an earlier checkpoint')
        label = int(scores.argmax())
        return Classification(
            label=label,
            class_name=self.classes[label],
            score=float(scores[label]),
            scores=scores,
        )
