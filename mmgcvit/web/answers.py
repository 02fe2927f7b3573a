"""Predictions as the page takes them: the form that page/outputs.js describes, with pixels as PNG files."""

import base64
from functools import singledispatch
from typing import Any

import cv2
import numpy as np

from ..inference import Classification, Detections, Prediction, Segmentation
from ..visualization.attention import Attention


@singledispatch
def answer_of(prediction: Prediction) -> dict[str, Any]:
    """What is found in a picture; coordinates in its pixels.

    Args:
        prediction: For one picture.
    """
    raise TypeError(f'{type(prediction).__name__} is no prediction')


@answer_of.register
def answer_of_classification(prediction: Classification) -> dict[str, Any]:
    return {'scores': prediction.scores.tolist()}


@answer_of.register
def answer_of_detections(prediction: Detections) -> dict[str, Any]:
    masks = [None] * len(prediction) if prediction.masks is None else map(mask_of, prediction.masks)
    rows = zip(prediction.labels, prediction.scores, prediction.boxes, masks, strict=True)
    return {
        'objects': [
            {'label': int(label), 'score': float(score), 'box': box.tolist(), 'mask': mask}
            for label, score, box, mask in rows
        ]
    }


@answer_of.register
def answer_of_segmentation(prediction: Segmentation) -> dict[str, Any]:
    return {'labelMap': {'png': png_of(prediction.label_map)}}


def mask_of(mask: np.ndarray) -> dict[str, Any] | None:
    """A mask (height, width) as the part of it that holds the object; None where it holds nothing."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return None
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return {'left': int(columns[0]), 'top': int(rows[0]), 'png': png_of(part)}


def png_of(numbers: np.ndarray) -> str:
    """Numbers (height, width) below 65536 as a PNG file in base64: red, and 256 times green."""
    numbers = numbers.astype(np.uint16)
    # Blue, green, red, as OpenCV writes them. Grey of 16 bits browsers reduce to 8.
    pixels = np.stack([np.zeros_like(numbers), numbers >> 8, numbers & 0xFF], axis=2).astype(np.uint8)
    _, content = cv2.imencode('.png', pixels)
    return base64.b64encode(content.tobytes()).decode()


def attention_of(attention: Attention) -> dict[str, Any]:
    """The attention that each token of a stage receives, in the last of the blocks that are looked at."""
    received = attention.blocks[-1].received
    rows, columns = received.shape
    values = np.nan_to_num(received).flatten().tolist()
    return {'rows': rows, 'columns': columns, 'values': values, 'box': list(attention.box)}


def attention_title(network: str, stage: int, block: int, kind: str) -> str:
    """What the page says of the attention that it shows.

    Args:
        network: The backbone's class.
        stage: From 0.
        block: Likewise, in the stage.
        kind: As of :class:`mmgcvit.visualization.attention.BlockAttention`.
    """
    queries = {'global': 'global queries', 'local': 'queries of its window', 'all': 'all queries'}[kind]
    return (
        f'Attention of {network}, stage {stage}, block {block}: the weight that each place receives as a key, averaged '
        f'over the heads and the {queries}.'
    )
