"""Compare an ONNX file with its model: run it in onnxruntime, at sizes that were not exported."""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import UserError
from ..inference import Predictor
from .graphs import INPUT, build_graph

# (batch, height, width), none of them the traced example's.
SHAPES = [(1, 64, 96), (3, 131, 70), (1, 128, 128)]
# The largest difference allowed, as a share of the largest number of the output.
TOLERANCE = 1e-4


class Difference(NamedTuple):
    """The largest difference over all outputs and sizes, as a share of an output's largest number, and that output."""

    largest: float
    output: str


def compare(predictor: Predictor, path: Path) -> Difference:
    """Compare a file with its model on random images; a detector's objects whatever their scores."""
    is_detector, content = predictor.task == 'detection', path.read_bytes()
    if is_detector:
        predictor, content = keep_all_scores(predictor, content)
    session = open_session(content)
    names = [output.name for output in session.get_outputs()]
    worst = Difference(0.0, names[0])
    for seed, (batch, height, width) in enumerate(SHAPES):
        # Large spots with noise: in noise alone few detectors find anything.
        generator = torch.Generator().manual_seed(seed)
        spots, noise = (torch.randn(batch, 3, *size, generator=generator) for size in ((5, 7), (height, width)))
        images = 1.5 * F.interpolate(spots, size=(height, width), mode='bicubic') + 0.5 * noise
        found = dict(zip(names, session.run(names, {INPUT: images.numpy()}), strict=True))
        expected = compute_expected(predictor, images)
        if is_detector:
            found, expected = match_objects(found, expected, (height, width))
        worst = max([worst, *(Difference(distance(found[name], expected[name]), name) for name in expected)])
    if not worst.largest <= TOLERANCE:
        raise UserError(
            f"the file's {worst.output} differ from the model's by {worst.largest:.1e} of their largest, more than "
            f'{TOLERANCE}; it is not kept (--no-check writes it all the same)'
        )
    return worst


def open_session(content: bytes) -> Any:
    """Load an ONNX file in onnxruntime on the CPU."""
    import onnxruntime

    return onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, as a share of the largest number expected; infinite if the shapes differ."""
    if found.shape != expected.shape:
        return float('inf')
    expected = expected.astype(np.float64)
    largest = np.abs(expected).max(initial=np.finfo(np.float32).tiny)
    return float(np.abs(found - expected).max(initial=0) / largest)


def compute_expected(predictor: Predictor, images: Tensor) -> Mapping[str, np.ndarray]:
    """The outputs for normalised images (B, 3, H, W), by the OpenMMLab model's own prediction."""
    network, size = predictor.network, tuple(images.shape[2:])
    with torch.no_grad():
        if predictor.task == 'classification':
            return {'scores': torch.stack([sample.pred_score for sample in network.predict(images)]).numpy()}
        if predictor.task == 'segmentation':
            return {'logits': network.encode_decode(images, [{'img_shape': size}] * len(images)).numpy()}
        from mmdet.structures import DetDataSample

        from .detector import pad_images

        meta = {'img_shape': size, 'ori_shape': size, 'scale_factor': (1.0, 1.0)}
        samples = [DetDataSample(metainfo=meta) for _ in images]
        found = network.predict(pad_images(images, network.data_preprocessor.pad_size_divisor), samples, rescale=False)
        objects = [sample.pred_instances for sample in found]
        outputs = {
            'boxes': torch.cat([each.bboxes for each in objects]),
            'scores': torch.cat([each.scores for each in objects]),
            'labels': torch.cat([each.labels for each in objects]),
            'image_indices': torch.cat([each.labels.new_full((len(each),), i) for i, each in enumerate(objects)]),
        }
        if network.roi_head.with_mask:
            # mmdet gives pasted masks only; the file has those inside the boxes.
            graph = build_graph(predictor)
            at = (outputs['boxes'], outputs['labels'], outputs['image_indices'])
            outputs['masks'] = graph.predict_masks(graph.compute_maps(images), *at)
        return {name: tensor.numpy() for name, tensor in outputs.items()}


def keep_all_scores(predictor: Predictor, content: bytes) -> tuple[Predictor, bytes]:
    """A detector and its file with a score threshold of 0: in random images few objects score high."""
    import onnx

    predictor = deepcopy(predictor)
    predictor.network.roi_head.test_cfg.score_thr = 0.0
    predictor.network.test_cfg.rcnn.score_thr = 0.0
    model = onnx.load_from_string(content)
    # The threshold is the last input of the last NMS.
    last = [node for node in model.graph.node if node.op_type == 'NonMaxSuppression'][-1]
    (constant,) = (node for node in model.graph.node if node.output and node.output[0] == last.input[-1])
    constant.attribute[0].t.CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, np.float32)))
    return predictor, model.SerializeToString()


# NMS can depend on the last digit of an overlap or a score, mostly between boxes of low scores. So objects with this
# share of the sum of scores may be missing on one side; a wrong graph misses most.
MISSING = 0.02
# Objects match if class, image and score agree and no side of the box is off by more than this share of the image.
CLOSE = 1e-3


def match_objects(
    found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], size: tuple[int, int]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The objects that both sides have, in the same order, for images of ``size`` (height, width)."""
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
        if side['scores'][numbers].sum() < (1 - MISSING) * side['scores'].sum():
            raise UserError(
                f"the file finds {len(theirs)} of the model's {len(expected['scores'])} objects in random images; it "
                'is not kept (--no-check writes it all the same)'
            )
    return {name: found[name][ours] for name in found}, {name: expected[name][theirs] for name in expected}
