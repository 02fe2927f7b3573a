"""Export detectors: choose the graph, describe the file, and compare the objects of both."""

import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement, InstanceData
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn

from ..errors import UserError
from ..inference.predictor import Predictor
from .task_export import NOT_WRITTEN, Arrays, Size, TaskExport, Tolerance

if TYPE_CHECKING:
    import onnx

    from .detector_graph import DetectorGraph


class DetectionExport(TaskExport[Any]):
    """Boxes, scores, labels and masks. There is a graph for each kind of detector."""

    def build_graph(self, network: nn.Module) -> nn.Module:
        from mmdet.models import DINO, Mask2Former, RTMDetInsHead

        from .detector_graph import TwoStageGraph
        from .dino_graph import DINOGraph
        from .mask2former_graph import Mask2FormerGraph
        from .rtmdet_graph import RTMDetInsGraph

        if isinstance(network, DINO):
            return DINOGraph(network)
        if isinstance(network, Mask2Former):
            return Mask2FormerGraph(network)
        if isinstance(getattr(network, 'bbox_head', None), RTMDetInsHead):
            return RTMDetInsGraph(network)
        return TwoStageGraph(network)

    def describe(self, predictor: Predictor[Any], graph: Any) -> dict[str, Any]:
        return {
            **predictor.thresholds.to_json(),
            'tiles': predictor.tiles or 0,
            'limit': predictor.limit,
            'mask_thr_binary': get_mask_threshold(predictor.network),
            'mask_type': graph.mask_type,
            'mask_stride': graph.mask_stride,
        }

    def collect_outputs(
        self, samples: Sequence[BaseDataElement], graph: Any, inputs: Tensor
    ) -> dict[str, Tensor]:
        found = InstanceData.cat([sample.pred_instances for sample in samples])
        numbers = torch.tensor([len(sample.pred_instances) for sample in samples])
        image_indices = torch.arange(len(samples)).repeat_interleave(numbers)
        outputs = {
            'boxes': found.bboxes,
            'scores': found.scores,
            'labels': found.labels,
            'image_indices': image_indices,
        }
        if graph.mask_stride:
            outputs['masks'] = found.masks
        elif 'masks' in graph.output_names:
            # mmdet's masks cover the whole image, the file's only the box. So expect the masks of
            # the traced module.
            feature_maps = graph.extract_feature_maps(inputs)
            outputs['masks'] = graph.predict_masks(
                feature_maps, found.bboxes, found.labels, image_indices
            )
        return outputs

    def prepare_comparison(self, predictor: Predictor[Any], graph: Any) -> Predictor[Any]:
        """Return the model without score thresholds, since random images have few high-scoring
        objects.
        """
        return keep_all_candidates(predictor)

    def prepare_content(self, content: bytes, graph: Any) -> bytes:
        """Return the content of the file without its score threshold."""
        if graph.score_thr is None:
            return content
        return remove_file_threshold(content, graph.score_thr)

    def convert_outputs(
        self, outputs: Arrays, predictor: Predictor[Any], graph: Any, size: Size
    ) -> Arrays:
        """Make masks of the whole image of logits. Masks in boxes stay as they are."""
        if not graph.mask_stride:
            return outputs
        return {**outputs, 'masks': make_masks(outputs['masks'], graph, predictor, size)}

    def match(
        self, outputs: Arrays, expected: Arrays, longer_side: int, tolerance: Tolerance
    ) -> list[Arrays]:
        return match_objects(outputs, expected, longer_side, tolerance)


def make_masks(
    logits: NDArray[np.float32],
    graph: 'DetectorGraph',
    predictor: Predictor[Any],
    size: tuple[int, int],
) -> NDArray[np.bool_]:
    """Return masks (N, *size) bool of a file's logits (N, h, w), as OnnxPredictor makes them."""
    # It imports onnxruntime, which may be missing.
    from .onnx_predictor import collect_masks, resize_masks

    masks = resize_masks(
        logits=logits,
        stride=graph.mask_stride,
        mask_type=graph.mask_type,
        threshold=get_mask_threshold(predictor.network),
        img_shape=size,
        ori_shape=size,
    )
    return collect_masks(masks, len(logits), size)


def get_mask_threshold(network: nn.Module) -> float:
    """Return the probability from which a pixel belongs to an object of a detector."""
    if hasattr(network, 'panoptic_head'):
        return 0.5  # Mask2Former's
    # Two-stage detectors have settings for each stage.
    test_cfg = network.test_cfg.get('rcnn', network.test_cfg)
    return float(test_cfg.get('mask_thr_binary', 0.5))


def keep_all_candidates(predictor: Predictor[Any]) -> Predictor[Any]:
    """Return a detector that predicts objects of any score, with their masks as arrays.

    FCNMaskHead drops candidates under the thresholds of the predictor.
    """
    return replace(
        predictor,
        network=remove_score_threshold(predictor.network),
        score_thr=0.0,
        class_score_thr={},
        max_mask_bytes=sys.maxsize,
    )


def remove_score_threshold(network: nn.Module) -> nn.Module:
    """Return a copy of a detector that keeps objects of any score."""
    copied = deepcopy(network)
    for module in copied.modules():
        if 'score_thr' in (getattr(module, 'test_cfg', None) or ()):
            module.test_cfg.score_thr = 0.0
    return copied


def remove_file_threshold(content: bytes, score_thr: float) -> bytes:
    """Return the content of a detector's file with a score threshold of 0 in the last NMS.

    Raise a UserError if it is not ``score_thr`` now, because the comparison would see few objects.
    """
    import onnx

    model = onnx.load_from_string(content)
    graph = model.graph
    nms_nodes = [node for node in graph.node if node.op_type == 'NonMaxSuppression']
    old = find_constant(graph, nms_nodes[-1].input[-1]) if nms_nodes else None
    if old is None or onnx.numpy_helper.to_array(old.tensor) != np.float32(score_thr):
        raise UserError(
            f'the ONNX file has no NonMaxSuppression with the score threshold {score_thr}, so its '
            f'objects cannot be compared (torch {torch.__version__}). {NOT_WRITTEN}'
        )
    # Another node may use the same constant, so this one gets its own.
    zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32), 'compared_score_thr')
    graph.initializer.append(zero)
    nms_nodes[-1].input[-1] = zero.name
    is_used = any(old.name in node.input for node in graph.node)
    if old.is_initializer and not is_used:
        graph.initializer.remove(old.tensor)  # onnxruntime would warn about it
    return model.SerializeToString()


@dataclass(frozen=True)
class Constant:
    """A constant of an ONNX graph."""

    name: str
    tensor: 'onnx.TensorProto'
    is_initializer: bool  # otherwise it is the output of a node


def find_constant(graph: 'onnx.GraphProto', name: str) -> Constant | None:
    """Return the constant of a graph with this name, or None if there is none."""
    for tensor in graph.initializer:
        if tensor.name == name:
            return Constant(name, tensor, is_initializer=True)
    for node in graph.node:
        if node.op_type == 'Constant' and node.output[0] == name:
            return Constant(name, node.attribute[0].t, is_initializer=False)
    return None


def match_objects(
    outputs: Arrays, expected: Arrays, longer_side: int, tolerance: Tolerance
) -> list[Arrays]:
    """Return the objects that both the file and the model find, in the same order."""
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
    matches = []
    for objects, matched in ((outputs, indices[is_kept]), (expected, expected_indices[is_kept])):
        if objects['scores'][matched].sum() < tolerance.matched * objects['scores'].sum():
            raise UserError(
                f'in images of random pixels, the model detects {len(expected["scores"])} objects '
                f'and the ONNX file {len(outputs["scores"])}: only {len(matched)} match, not '
                f'{tolerance.matched:.0%} (weighted by score). {NOT_WRITTEN}'
            )
        matches.append({name: values[matched] for name, values in objects.items()})
    return matches
