"""Predict the class of each pixel, in large images by the blended logits of overlapping tiles."""

from collections.abc import Sequence

import numpy as np
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray
from torch import Tensor

from ..errors import UserError
from ..host.tasks import SEGMENTATION
from .blending import segment_in_tiles
from .predictor import Predictor
from .results import Segmentation, make_segmentation


class Segmentor(Predictor[Segmentation]):
    """Predictor for semantic segmentation."""

    task = SEGMENTATION.name

    def format_count(self, count: int, total: int) -> str:
        """Return the share of the pixels that are of a class."""
        return f'{count / total:.1%}'

    def describe_settings(self) -> list[str]:
        return [f'tiles: {self.tiles or "none"}']

    def read_sample(self, sample: BaseDataElement) -> Segmentation:
        label_map = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int32)
        return make_segmentation(label_map, self.classes)

    def predict_in_tiles(self, image: NDArray[np.uint8], side: int) -> Segmentation:
        """Segment a large image by the blended logits of its tiles."""
        label_map = segment_in_tiles(
            image,
            side=side,
            tiles_per_batch=self.tiles_per_batch,
            compute_logits=self.compute_logits,
            choose_classes=self.choose_classes,
        )
        return make_segmentation(label_map, self.classes)

    def compute_logits(self, tiles: Sequence[NDArray[np.uint8]]) -> list[Tensor]:
        """Return the logits (C, height, width) float32 of each of several tiles of one size.

        Of a network with one output channel, they are probabilities.
        """
        try:
            samples = self.compute_samples(tiles)
        except UserError:
            if len(tiles) == 1:
                raise
            # The memory may be enough for one tile at a time.
            samples = [self.compute_samples([tile])[0] for tile in tiles]
        return [sample.seg_logits.data.float() for sample in samples]

    def choose_classes(self, logits: Tensor) -> Tensor:
        """Return the class (height, width) of each pixel, as mmseg's ``postprocess_result`` does."""
        if len(logits) == 1:
            return logits[0] > self.network.decode_head.threshold
        return logits.argmax(0)
