"""Compare an ONNX file's outputs in onnxruntime with the PyTorch model's, at image sizes other than
the traced one.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import UserError
from ..inference.predictor import Predictor
from .graphs import INPUT
from .task_export import DINO, FLOAT32, HALF, NOT_WRITTEN, Arrays, TaskExport

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# (batch, height, width) of the compared images. The traced example has another shape.
SHAPES = [(1, 33, 140), (3, 131, 70), (1, 128, 128)]
# mmdet's DINO needs at least as many pixels in its feature maps as queries. The first map has this
# stride.
DINO_STRIDE = 8


@dataclass(frozen=True)
class Difference:
    """The largest difference of a file from its model, and the name of the output.

    It is relative to the largest absolute value of the output; for masks of the whole image, it is
    1 - IoU.
    """

    value: float
    output: str


def compare(
    export: TaskExport[Any],
    predictor: Predictor[Any],
    graph: nn.Module,
    path: Path,
    is_half: bool = False,
) -> Difference:
    """Compare a file with its model, traced as ``graph``, on random images, and return the largest
    difference.

    Raise a UserError if outputs differ too much.
    """
    import onnxruntime

    num_queries = getattr(predictor.network, 'num_queries', 0)  # DINO's
    tolerance = DINO if num_queries else FLOAT32
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; it warns of each unused constant
    if is_half:
        tolerance = HALF
        # See make_cast.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    predictor = export.prepare_comparison(predictor, graph)
    content = export.prepare_content(path.read_bytes(), graph)
    session = onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    differences = []
    for batch, height, width in enlarge_shapes(num_queries):
        images = make_random_images(batch, height, width)
        outputs, expected = predict_both(export, session, predictor, graph, images)
        outputs, expected = export.match(
            outputs, expected, longer_side=max(height, width), tolerance=tolerance
        )
        for name in expected:
            value = compute_difference(outputs[name], expected[name])
            differences.append(Difference(value, name))
    largest = max(differences, key=lambda difference: difference.value)
    if largest.value > tolerance.difference:
        raise UserError(
            f"the ONNX file's {largest.output} differ from the model's by {largest.value:.2g} of "
            f'their largest value, and {tolerance.difference} is allowed. {NOT_WRITTEN}'
        )
    return largest


def predict_both(
    export: TaskExport[Any],
    session: 'InferenceSession',
    predictor: Predictor[Any],
    graph: nn.Module,
    images: NDArray[np.uint8],
) -> tuple[Arrays, Arrays]:
    """Return the outputs of a file's session and of its model for images (B, height, width, 3)
    uint8, by name.

    Masks of the whole image are bool (N, height, width) in both.
    """
    inputs, expected = compute_expected(export, predictor, graph, images)
    values = session.run(list(expected), {INPUT: inputs.numpy()})
    outputs = dict(zip(expected, values, strict=True))
    height, width = images.shape[1:3]
    return export.convert_outputs(outputs, predictor, graph, size=(height, width)), expected


def enlarge_shapes(num_queries: int) -> list[tuple[int, int, int]]:
    """Return :data:`SHAPES`, enlarged so that a DINO has at least ``num_queries`` pixels in its
    first feature map.
    """
    smallest = min(height * width for _, height, width in SHAPES)
    factor = max(1, math.ceil(DINO_STRIDE * math.sqrt(num_queries / smallest)))
    return [(batch, height * factor, width * factor) for batch, height, width in SHAPES]


def make_random_images(batch: int, height: int, width: int) -> NDArray[np.uint8]:
    """Make images (B, height, width, 3) uint8 of large spots with noise, because most detectors
    find no object in noise alone.
    """
    rng = np.random.default_rng(0)
    images = rng.normal(128, 30, (batch, height, width, 3))
    for image in images:
        spots = rng.normal(0, 90, (5, 7, 3))
        image += cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC)
    return images.clip(0, 255).astype(np.uint8)


def compute_difference(output: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the largest difference, relative to the largest expected value (infinity for other
    shapes and NaN); of masks, which are bool, 1 - IoU.
    """
    if output.shape != expected.shape:
        return np.inf
    if expected.dtype == bool:
        union = np.count_nonzero(output | expected)
        return np.count_nonzero(output != expected) / max(1, union)
    expected = expected.astype(np.float64)
    largest = np.abs(expected).max(initial=np.finfo(np.float32).tiny)
    difference = np.abs(output - expected).max(initial=0) / largest
    return float(np.nan_to_num(difference, nan=np.inf))


@torch.no_grad()
def compute_expected(
    export: TaskExport[Any],
    predictor: Predictor[Any],
    graph: nn.Module,
    images: NDArray[np.uint8],
) -> tuple[Tensor, Arrays]:
    """Return the normalised images (B, 3, H, W), and the OpenMMLab model's predictions for them, by
    output name.

    The model pads the images.
    """
    # The last transform packs an image, so it is not resized.
    packing = replace(predictor, pipeline=predictor.pipeline.transforms[-1])
    packed = pseudo_collate([packing.prepare_image(image) for image in images])
    batch = predictor.network.data_preprocessor(packed)
    samples = predictor.network(**batch, mode='predict')
    height, width = images.shape[1:3]
    inputs = batch['inputs'][..., :height, :width]
    outputs = export.collect_outputs(samples, graph, inputs)
    return inputs, {name: tensor.numpy() for name, tensor in outputs.items()}
