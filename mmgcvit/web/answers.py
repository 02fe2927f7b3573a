"""Predictions and attention as the page takes them: in the form of page/outputs.js, with pixels as PNG files."""

import base64
from typing import Any

import cv2
import numpy as np

from ..inference import Classification, Prediction, Segmentation
from ..inference.results import Part
from ..visualization.attention import Attention

# By the kind of an attention, as of visualization.attention.BlockAttention.
QUERIES = {'global': 'global queries', 'local': 'queries of its window', 'all': 'all queries'}


def answer_of(prediction: Prediction) -> dict[str, Any]:
    """What is found in a picture; coordinates in its pixels."""
    if isinstance(prediction, Classification):
        return {'scores': prediction.scores.tolist()}
    if isinstance(prediction, Segmentation):
        return {'labelMap': {'png': png_of(prediction.label_map)}}
    masks = [None] * len(prediction) if prediction.masks is None else map(mask_of, prediction.masks)
    rows = zip(prediction.labels, prediction.scores, prediction.boxes, masks, strict=True)
    return {
        'objects': [
            {'label': int(label), 'score': float(score), 'box': box.tolist(), 'mask': mask}
            for label, score, box, mask in rows
        ]
    }


def mask_of(mask: np.ndarray) -> dict[str, Any] | None:
    """A mask (height, width) as the part of it that holds the object; None where it holds nothing."""
    part, left, top = Part.of(mask)
    return {'left': left, 'top': top, 'png': png_of(part)} if part.size else None


def png_of(numbers: np.ndarray) -> str:
    """Numbers (height, width) below 65536 as a PNG file in base64: red, and 256 times green."""
    numbers = numbers.astype(np.uint16)
    # Blue, green, red, as OpenCV writes them. Grey of 16 bits browsers reduce to 8.
    pixels = np.stack([np.zeros_like(numbers), numbers >> 8, numbers & 0xFF], axis=2).astype(np.uint8)
    _, content = cv2.imencode('.png', pixels)
    return base64.b64encode(content.tobytes()).decode()


def attention_of(found: Attention) -> dict[str, Any]:
    """The attention that each token of a stage receives, in the last of the blocks that are looked at."""
    block = found.blocks[-1]
    rows, columns = block.received.shape
    return {
        'rows': rows,
        'columns': columns,
        'values': np.nan_to_num(block.received).flatten().tolist(),
        'box': list(found.box),
        'title': attention_title(found.network, found.stage, block.block, block.kind),
    }


def attention_title(network: str, stage: int, block: int, kind: str) -> str:
    """What the page says of the attention that it shows."""
    return (
        f'Attention of {network}, stage {stage}, block {block}: the weight that each place receives as a key, averaged '
        f'over the heads and the {QUERIES[kind]}.'
    )
