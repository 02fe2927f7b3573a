"""Classification, through mmpretrain's ``ImageClassificationInferencer``."""

from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import default_collate

from ..errors import UserError
from .predictor import Predictor
from .results import Classification

# Words do not fit into smaller pictures, which are enlarged, thin ones so far.
SHORTEST_DRAWN, LONGEST_ENLARGED = 224, 2240


class Classifier(Predictor):
    """A classifier; see :class:`Predictor`."""

    task = 'classification'
    scope = 'mmpretrain'
    visualizer = 'UniversalVisualizer'

    @staticmethod
    def inferencer_of(cfg: Config, device: torch.device) -> Any:
        from mmpretrain import ImageClassificationInferencer

        inferencer = ImageClassificationInferencer(cfg, pretrained=False, device=device)
        # It keeps this one in its own loop.
        inferencer.collate_fn = default_collate
        return inferencer

    def prepared(self, image: np.ndarray) -> Any:
        size = image.shape[:2]
        return self.inferencer.pipeline({'img': image, 'img_shape': size, 'ori_shape': size})

    def prediction_of(self, sample: Any) -> Classification:
        if 'pred_score' not in sample:
            raise UserError('the model predicts no scores of classes')
        scores = sample.pred_score.cpu().numpy().astype(np.float32)
        if not np.isfinite(scores).all():
            raise UserError("the network's scores are not finite")
        label = int(scores.argmax())
        return Classification(label, self.names([label])[0], float(scores[label]), scores)

    def drawn(self, image: np.ndarray, prediction: Classification) -> np.ndarray:
        from mmpretrain.structures import DataSample
        from mmpretrain.visualization import UniversalVisualizer

        if self.inferencer.visualizer is None:
            self.inferencer.visualizer = UniversalVisualizer()
        sample = DataSample().set_pred_score(torch.from_numpy(prediction.scores)).set_pred_label(prediction.label)
        shorter, longer = sorted(image.shape[:2])
        factor = max(1.0, min(SHORTEST_DRAWN / shorter, LONGEST_ENLARGED / longer))
        visualizer = self.inferencer.visualizer
        names = self.names(range(len(prediction.scores)))
        visualizer.visualize_cls(image, sample, classes=names, rescale_factor=factor if factor > 1 else None)
        return visualizer.get_image()
