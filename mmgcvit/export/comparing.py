"""Compare an ONNX file's outputs in onnxruntime with the PyTorch model's, at image sizes other than
the traced one.
"""

import math
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ..errors import UserError
from ..predict.detector import Detector
from ..predict.predictor import Predictor
from .graphs import INPUT, SCORE_THR, ModelGraph
from .masks import Arrays

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

NOT_WRITTEN = 'So no file is written. With check=False it is written without this comparison'
# (batch, height, width) of the compared images. The traced example has another shape.
SHAPES = [(1, 33, 140), (3, 131, 70), (1, 128, 128)]
# mmdet's DINO needs at least as many pixels in its feature maps as queries. The first map has this
# stride.
DINO_STRIDE = 8


class ComparisonError(UserError):
    """An ONNX file's outputs differ from its model's."""


class Tolerance(NamedTuple):
    """How much a file's outputs may differ from the model's."""

    # Maximum difference of an output, relative to its largest absolute value; for masks of the
    # whole image, 1 - IoU.
    difference: float
    # Maximum difference of the scores of objects that match, and of their coordinates / the image's
    # longer side.
    match: float
    # Minimum share of objects with a match, weighted by score: where an IoU is at NMS's threshold,
    # rounding changes which box is kept.
    matched: float


FLOAT32 = Tolerance(difference=1e-4, match=1e-3, matched=0.99)
# Rounding swaps a few of DINO's queries with nearly equal scores, which changes all objects a
# little.
DINO = Tolerance(difference=0.01, match=0.01, matched=0.95)
HALF = Tolerance(difference=0.05, match=0.01, matched=0.9)


class Difference(NamedTuple):
    """The largest difference of a file from its model, and the name of the output.

    It is relative to the largest absolute value of the output; for masks of the whole image, it is
    1 - IoU.
    """

    value: float
    output: str


def compare(
    predictor: Predictor[Any], graph: ModelGraph, path: Path, is_half: bool = False
) -> Difference:
    """Compare a file with its model, traced as ``graph``, on random images, and return the largest
    difference.

    Raise a ComparisonError if outputs differ too much.
    """
    import onnxruntime

    tolerance = DINO if graph.num_queries else FLOAT32
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; it warns of each unused constant
    if is_half:
        tolerance = HALF
        # See make_cast.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # onnxruntime does not copy it, and ignores it for a file without NMS.
    no_threshold = onnxruntime.OrtValue.ortvalue_from_numpy(np.zeros(1, np.float32))
    if graph.finds_objects:
        # Random images have few high-scoring objects.
        predictor = keep_all_candidates(predictor)
        options.add_initializer(SCORE_THR, no_threshold)
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    differences = []
    for batch, height, width in enlarge_shapes(graph.num_queries):
        images = make_random_images(batch, height, width)
        outputs, expected = predict_both(session, predictor, graph, images)
        if graph.finds_objects:
            outputs, expected = match_objects(outputs, expected, max(height, width), tolerance)
        for name in expected:
            value = compute_difference(outputs[name], expected[name])
            differences.append(Difference(value, name))
    largest = max(differences)
    if largest.value > tolerance.difference:
        raise ComparisonError(
            f"the ONNX file's {largest.output} differ from the model's by {largest.value:.2g} of "
            f'their largest value, and {tolerance.difference} is allowed. {NOT_WRITTEN}'
        )
    return largest


@torch.no_grad()
def predict_both(
    session: 'InferenceSession',
    predictor: Predictor[Any],
    graph: ModelGraph,
    images: NDArray[np.uint8],
) -> tuple[Arrays, Arrays]:
    """Return the outputs of a file's session and of its model for images (B, height, width, 3)
    uint8, by name.

    The model pads the images. Masks of the whole image are bool (N, height, width) in both.
    """
    # The last transform packs an image, so it is not resized.
    packing = replace(predictor, pipeline=predictor.pipeline.transforms[-1])
    packed = pseudo_collate([packing.prepare_image(image) for image in images])
    batch = predictor.network.data_preprocessor(packed)
    samples = predictor.network(**batch, mode='predict')
    _, height, width, _ = images.shape
    inputs = batch['inputs'][..., :height, :width]
    collected = graph.collect_outputs(samples, inputs)
    expected = {name: tensor.numpy() for name, tensor in collected.items()}
    values = session.run(list(expected), {INPUT: inputs.numpy()})
    outputs = dict(zip(expected, values, strict=True))
    return graph.convert_outputs(outputs, (height, width)), expected


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


def compute_difference(output: NDArray[Any], expected: NDArray[Any]) -> float:
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


def keep_all_candidates(predictor: Predictor[Any]) -> Predictor[Any]:
    """Return a detector that predicts objects of any score, with their masks as arrays.

    The mask heads of ``fixes/mmdet`` drop candidates under the thresholds of the predictor.
    """
    assert isinstance(predictor, Detector)  # as its graph finds objects
    network = deepcopy(predictor.network)
    for module in network.modules():
        if 'score_thr' in (getattr(module, 'test_cfg', None) or ()):
            module.test_cfg.score_thr = 0.0
    return replace(
        predictor, network=network, score_thr=0.0, class_score_thr={}, max_mask_bytes=sys.maxsize
    )


def match_objects(
    outputs: Arrays, expected: Arrays, longer_side: int, tolerance: Tolerance
) -> list[Arrays]:
    """Return the objects that both the file and the model find, in the same order.

    Raise a ComparisonError if they are too few.
    """
    distances = np.abs(expected['scores'][:, None] - outputs['scores'])
    box_distances = np.abs(expected['boxes'][:, None] - outputs['boxes']).max(axis=2)
    is_match = distances <= tolerance.match
    is_match &= box_distances <= tolerance.match * longer_side
    for name in ('labels', 'image_indices'):
        is_match &= expected[name][:, None] == outputs[name]
    # Queries predict similar boxes, and NMS keeps boxes without an area: they may match several.
    # Prefer those with close scores.
    expected_indices, indices = linear_sum_assignment(np.where(is_match, distances, 1.0))
    is_kept = is_match[expected_indices, indices]
    matches: list[Arrays] = []
    for objects, matched in ((outputs, indices[is_kept]), (expected, expected_indices[is_kept])):
        if objects['scores'][matched].sum() < tolerance.matched * objects['scores'].sum():
            raise ComparisonError(
                f'in images of random pixels, the model detects {len(expected["scores"])} objects '
                f'and the ONNX file {len(outputs["scores"])}: only {len(matched)} match, not '
                f'{tolerance.matched:.0%} (weighted by score). {NOT_WRITTEN}'
            )
        matches.append({name: values[matched] for name, values in objects.items()})
    return matches
