"""Semantic segmentation, through mmseg's ``MMSegInferencer``."""

from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import PixelData

from ..errors import UserError
from .predictor import Predictor
from .results import Segmentation

# How much of a drawn picture is colour.
OPACITY = 0.5
# Names are placed in a map of this size at most, in areas of at least this share of it.
LONGEST_SIDE, SMALLEST_SHARE = 512, 0.001


class Segmentor(Predictor):
    """A segmentor; see :class:`Predictor`."""

    task = 'segmentation'
    scope = 'mmseg'
    visualizer = 'SegLocalVisualizer'

    @staticmethod
    def inferencer_of(cfg: Config, device: torch.device) -> Any:
        from mmseg.apis import MMSegInferencer

        return MMSegInferencer(cfg, device=str(device))

    def prepared(self, image: np.ndarray) -> Any:
        return self.inferencer.pipeline(image)

    def prediction_of(self, sample: Any) -> Segmentation:
        if 'pred_sem_seg' not in sample:
            raise UserError('the model predicts no classes of pixels')
        label_map = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int32)
        labels, areas = np.unique(label_map, return_counts=True)
        order = np.argsort(-areas, kind='stable')
        labels, areas = labels[order].astype(np.int64), areas[order].astype(np.int64)
        return Segmentation(label_map, labels, self.names(labels), areas)

    def drawn(self, image: np.ndarray, prediction: Segmentation) -> np.ndarray:
        from mmseg.structures import SegDataSample

        visualizer = self.inferencer.visualizer
        visualizer.set_dataset_meta(self.classes, self.palette)
        visualizer.alpha = OPACITY
        # As an array: one pixel of a tensor is no mask to NumPy.
        sample = SegDataSample(pred_sem_seg=PixelData(data=prediction.label_map[None]))
        # Its own names are placed by sorting all pixels of a class: 20 s for 3 megapixels, measured; and on edges.
        visualizer.add_datasample('', image, sample, draw_gt=False, with_labels=False)
        places = [(name, middle_of(prediction.label_map == label)) for label, name in named(prediction)]
        for name, place in places:
            if place is not None:
                visualizer.draw_texts(
                    name,
                    np.array([place]),
                    colors='white',
                    horizontal_alignments='center',
                    vertical_alignments='center',
                    bboxes={'facecolor': 'black', 'alpha': 0.6, 'pad': 0.7, 'edgecolor': 'none'},
                )
        return visualizer.get_image()


def named(prediction: Segmentation) -> list[tuple[int, str]]:
    """The classes of a prediction by their numbers and names."""
    return list(zip(prediction.labels.tolist(), prediction.class_names, strict=True))


def middle_of(mask: np.ndarray) -> tuple[float, float] | None:
    """The point of a mask (height, width) that is farthest from its edges, and from the image's.

    Returns:
        x and y in pixels; None of a mask too small for words.
    """
    height, width = mask.shape
    shrink = min(1.0, LONGEST_SIDE / max(height, width))
    size = max(1, round(width * shrink)), max(1, round(height * shrink))
    small = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_AREA if shrink < 1 else cv2.INTER_NEAREST)
    if small.sum() < SMALLEST_SHARE * small.size:
        return None
    depth = cv2.distanceTransform(np.pad(small, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    return (x + 0.5) * width / size[0], (y + 0.5) * height / size[1]
