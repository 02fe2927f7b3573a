"""A file of ONNX beside the model that it was made of: run by onnxruntime at sizes that were not exported."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UserError, first_line
from ..inference import Predictor
from .graphs import INPUT, graph_of

# (images, height, width): three sizes and two numbers of images, none of them the example's.
SHAPES = [(1, 64, 96), (3, 131, 70), (1, 128, 128)]
# The largest difference, as a share of the largest number of the output.
TOLERANCE = 1e-4


class Difference(NamedTuple):
    """The largest difference over all outputs and sizes, as a share of an output's largest number, and that output."""

    largest: float
    output: str


def compared(predictor: Predictor, part: str | None, path: Path) -> Difference:
    """Compare a file with its model, for images of chance; of a detector the objects of all scores."""
    is_detector = part is None and predictor.task == 'detection'
    predictor, content = finding_everything(predictor, path) if is_detector else (predictor, path.read_bytes())
    session = session_of(content)
    worst = Difference(0.0, session.get_outputs()[0].name)
    for seed, (batch, height, width) in enumerate(SHAPES):
        images = picture_of_chance((batch, 3, height, width), seed)
        found, expected = run(session, images.numpy()), host_outputs(predictor, part, images)
        if is_detector:
            found, expected = paired(found, expected, (height, width))
        worst = max([worst, *(Difference(distance(found[name], expected[name]), name) for name in expected)])
    if not worst.largest <= TOLERANCE:
        raise UserError(
            f"the file's {worst.output} differ from the model's by {worst.largest:.1e} of their largest, more than "
            f'{TOLERANCE}; nothing is kept (--no-check writes it all the same)'
        )
    return worst


def picture_of_chance(shape: tuple[int, int, int, int], seed: int) -> Tensor:
    """Normalised images (B, 3, H, W) of large spots with noise on them: in noise alone few networks find anything."""
    generator = torch.Generator().manual_seed(seed)
    spots = torch.randn((*shape[:2], 5, 7), generator=generator)
    noise = torch.randn(shape, generator=generator)
    return 1.5 * F.interpolate(spots, size=shape[2:], mode='bicubic') + 0.5 * noise


def session_of(content: bytes) -> Any:
    """A file of ONNX in onnxruntime, on the CPU; a UserError where it is not taken."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider'])
    # Its errors have no base class of their own.
    except Exception as error:
        raise UserError(f'onnxruntime cannot load the file: {first_line(error)}') from None


def run(session: Any, images: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs for images (B, 3, H, W), by their names; a UserError where it fails."""
    names = [output.name for output in session.get_outputs()]
    try:
        return dict(zip(names, session.run(names, {INPUT: images}), strict=True))
    except Exception as error:
        raise UserError(f'onnxruntime cannot run the file for {images.shape}: {first_line(error)}') from None


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, as a share of the largest number expected; infinite of other shapes."""
    if found.shape != expected.shape:
        return float('inf')
    if not expected.size:
        return 0.0
    largest = np.abs(expected.astype(np.float64)).max()
    return float(np.abs(found.astype(np.float64) - expected).max() / max(largest, np.finfo(np.float32).tiny))


def host_outputs(predictor: Predictor, part: str | None, images: Tensor) -> Mapping[str, np.ndarray]:
    """The outputs for normalised images (B, 3, H, W), computed by the host's own prediction wherever it has them."""
    network, size = predictor.network, tuple(images.shape[2:])
    with torch.no_grad():
        if part is not None:
            maps = network.backbone(images)
            return {f'map{i}': x.numpy() for i, x in zip(network.backbone.out_indices, maps, strict=True)}
        if predictor.task == 'classification':
            return {'scores': torch.stack([sample.pred_score for sample in network.predict(images)]).numpy()}
        if predictor.task == 'segmentation':
            return {'logits': network.encode_decode(images, [{'img_shape': size}] * len(images)).numpy()}
        from mmdet.structures import DetDataSample

        from .detector import padded

        meta = {'img_shape': size, 'ori_shape': size, 'scale_factor': (1.0, 1.0)}
        samples = [DetDataSample(metainfo=meta) for _ in images]
        found = network.predict(padded(images, network.data_preprocessor.pad_size_divisor), samples, rescale=False)
        objects = [sample.pred_instances for sample in found]
        outputs = {
            'boxes': torch.cat([each.bboxes for each in objects]),
            'scores': torch.cat([each.scores for each in objects]),
            'labels': torch.cat([each.labels for each in objects]),
            'image_indices': torch.cat([each.labels.new_full((len(each),), i) for i, each in enumerate(objects)]),
        }
        if network.roi_head.with_mask:
            # Masks inside of the boxes the host has none of.
            graph = graph_of(predictor)
            at = (outputs['boxes'], outputs['labels'], outputs['image_indices'])
            outputs['masks'] = graph.masks_of(graph.maps_of(images), *at)
        return {name: tensor.numpy() for name, tensor in outputs.items()}


def finding_everything(predictor: Predictor, path: Path) -> tuple[Predictor, bytes]:
    """A detector, and its file, that leave no object out for its score: images of chance hold none that is sure."""
    import onnx

    predictor = deepcopy(predictor)
    predictor.network.roi_head.test_cfg.score_thr = 0.0
    predictor.network.test_cfg.rcnn.score_thr = 0.0
    model = onnx.load(path)
    # The threshold is the last suppression's last input.
    last = [node for node in model.graph.node if node.op_type == 'NonMaxSuppression'][-1]
    (constant,) = (node for node in model.graph.node if node.output and node.output[0] == last.input[-1])
    constant.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, np.float32)))
    return predictor, model.SerializeToString()


# Which of two boxes is kept may hang on the last digit of an overlap or a score, most often among those that are hardly
# anything. So objects that have this share of the sum of scores may be missing on a side; a graph that computes
# something else misses most.
MISSING = 0.02
# Objects are one where class, image and score agree and no side of the box is farther off than this share of the image.
CLOSE = 1e-3


def paired(
    found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], size: tuple[int, int]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The objects that are on both sides, in one order, of images of height and width ``size``."""
    ours, theirs = [], []
    for number, box in enumerate(expected['boxes']):
        is_same = np.abs(found['boxes'] - box).max(axis=1, initial=0.0) <= CLOSE * max(size)
        is_same &= np.abs(found['scores'] - expected['scores'][number]) <= CLOSE
        for name in ('labels', 'image_indices'):
            is_same &= found[name] == expected[name][number]
        is_same[ours] = False
        if is_same.any():
            ours.append(int(is_same.argmax()))
            theirs.append(number)
    for side, numbers in ((found, ours), (expected, theirs)):
        whole = float(side['scores'].sum())
        if whole - float(side['scores'][numbers].sum()) > MISSING * whole:
            raise UserError(
                f'of {len(expected["scores"])} objects that the model finds in images of chance, and '
                f'{len(found["scores"])} that the file does, only {len(theirs)} are the same; nothing is kept '
                '(--no-check writes it all the same)'
            )
    return (
        {name: values[ours] for name, values in found.items()},
        {name: values[theirs] for name, values in expected.items()},
    )
