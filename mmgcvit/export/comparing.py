"""Compare an ONNX file's outputs in onnxruntime with the PyTorch model's, at image sizes other than
the traced one.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import InstanceData
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from ..errors import UserError
from ..inference.predictor import Predictor
from .graphs import INPUT

# (batch, height, width) of the compared images. The traced example has another shape.
SHAPES = [(1, 33, 140), (3, 131, 70), (1, 128, 128)]
# Maximum difference of an output, relative to its largest absolute value
MAX_DIFFERENCE = 1e-4
# Maximum difference of the scores of objects that match, and of their coordinates / the image's
# longer side
MAX_MATCH_DIFFERENCE = 1e-3
# Minimum share of objects with a match, weighted by score: where an IoU is at NMS's threshold,
# rounding changes which box is kept
MIN_MATCHED = 0.99
NOT_WRITTEN = 'So no file is written. To write it without this check, add --no-check'
Arrays = Mapping[str, NDArray]


def compare(predictor: Predictor, graph: nn.Module, path: Path) -> tuple[float, str]:
    """Compare a file with its model, traced as ``graph``, on random images. Raise a UserError if
    outputs differ.

    Return the largest difference, relative to the largest absolute value of its output, and the
    name of the output.
    """
    import onnxruntime

    content = path.read_bytes()
    is_detector = predictor.task == 'detection'
    if is_detector:
        predictor, content = remove_score_threshold(predictor, content)
    session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
    differences = []
    for shape in SHAPES:
        inputs, expected = compute_expected(predictor, graph, make_random_images(*shape))
        values = session.run(list(expected), {INPUT: inputs.numpy()})
        outputs = dict(zip(expected, values, strict=True))
        if is_detector:
            outputs, expected = match_objects(outputs, expected, max(shape))
        differences += [
            (compute_difference(outputs[name], expected[name]), name) for name in expected
        ]
    difference, name = max(differences)
    if difference > MAX_DIFFERENCE:
        raise UserError(
            f"the ONNX file's {name} differ from the model's by {difference:.2g} of their largest "
            f'value, and {MAX_DIFFERENCE} is allowed. {NOT_WRITTEN}'
        )
    return difference, name


def make_random_images(batch: int, height: int, width: int) -> NDArray:
    """Make images (B, height, width, 3) uint8 of large spots with noise, because most detectors
    find no object in noise alone.
    """
    rng = np.random.default_rng(0)
    images = rng.normal(128, 30, (batch, height, width, 3))
    for image in images:
        spots = rng.normal(0, 90, (5, 7, 3))
        image += cv2.resize(spots, (width, height), interpolation=cv2.INTER_CUBIC)
    return images.clip(0, 255).astype(np.uint8)


def compute_difference(output: NDArray, expected: NDArray) -> float:
    """Return the largest difference, relative to the largest expected value (infinity for other
    shapes and NaN).
    """
    if output.shape != expected.shape:
        return np.inf
    expected = expected.astype(np.float64)
    largest = np.abs(expected).max(initial=np.finfo(np.float32).tiny)
    difference = np.abs(output - expected).max(initial=0) / largest
    return float(np.nan_to_num(difference, nan=np.inf))


@torch.no_grad()
def compute_expected(
    predictor: Predictor, graph: nn.Module, images: NDArray
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
    if predictor.task == 'classification':
        outputs = [torch.stack([sample.pred_score for sample in samples])]
    elif predictor.task == 'segmentation':
        outputs = [torch.stack([sample.seg_logits.data for sample in samples])]
    else:
        found = InstanceData.cat([sample.pred_instances for sample in samples])
        numbers = torch.tensor([len(sample.pred_instances) for sample in samples])
        image_indices = torch.arange(len(images)).repeat_interleave(numbers)
        outputs = [found.bboxes, found.scores, found.labels, image_indices]
    if 'masks' in graph.output_axes:
        # mmdet's masks cover the whole image, the file's only the box. So expect the masks of the
        # traced module.
        feature_maps = graph.extract_feature_maps(inputs)
        outputs.append(graph.predict_masks(feature_maps, found.bboxes, *outputs[2:]))
    arrays = [tensor.numpy() for tensor in outputs]
    return inputs, dict(zip(graph.output_axes, arrays, strict=True))


def remove_score_threshold(predictor: Predictor, content: bytes) -> tuple[Predictor, bytes]:
    """Copy a detector and its file with a score threshold of 0, because random images have few
    high-scoring objects.
    """
    import onnx

    model = onnx.load_from_string(content)
    predictor = deepcopy(predictor)
    predictor.network.roi_head.test_cfg.score_thr = 0.0
    *_, nms_node = (node for node in model.graph.node if node.op_type == 'NonMaxSuppression')
    # The score threshold is the last input of the last NonMaxSuppression node.
    (constant,) = (node for node in model.graph.node if nms_node.input[-1] in node.output)
    zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32))
    constant.attribute[0].t.CopyFrom(zero)
    return predictor, model.SerializeToString()


def match_objects(outputs: Arrays, expected: Arrays, longer_side: int) -> list[Arrays]:
    """Return the objects that both the file and the model find, in the same order."""
    distances = np.abs(expected['scores'][:, None] - outputs['scores'])
    box_distances = np.abs(expected['boxes'][:, None] - outputs['boxes']).max(axis=2)
    is_match = distances <= MAX_MATCH_DIFFERENCE
    is_match &= box_distances <= MAX_MATCH_DIFFERENCE * longer_side
    for name in ('labels', 'image_indices'):
        is_match &= expected[name][:, None] == outputs[name]
    # Boxes without an area, which NMS keeps, may match several. Prefer those with close scores.
    expected_indices, indices = linear_sum_assignment(np.where(is_match, distances, 1.0))
    is_kept = is_match[expected_indices, indices]
    matches = []
    for objects, matched in ((outputs, indices[is_kept]), (expected, expected_indices[is_kept])):
        if objects['scores'][matched].sum() < MIN_MATCHED * objects['scores'].sum():
            raise UserError(
                f'in images of random pixels, the model detects {len(expected["scores"])} objects '
                f'and the ONNX file {len(outputs["scores"])}: only {len(matched)} match, not '
                f'{MIN_MATCHED:.0%} (weighted by score). {NOT_WRITTEN}'
            )
        matches.append({name: values[matched] for name, values in objects.items()})
    return matches
