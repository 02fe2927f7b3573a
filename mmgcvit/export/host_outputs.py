"""What a host's model gives for normalised images, in the outputs of its file: the other side of the comparison."""

from collections.abc import Mapping
from copy import deepcopy

import numpy as np
import torch
from torch import Tensor

from ..inference import Predictor
from .graphs import graph_of
from .padding import padded


def host_outputs(predictor: Predictor, part: str | None, images: Tensor) -> Mapping[str, np.ndarray]:
    """The outputs by their names, computed by the host's own prediction wherever it has them.

    Args:
        predictor: The model.
        part: As of :func:`graph_of`.
        images: (B, 3, H, W), normalised.
    """
    model = predictor.network
    with torch.no_grad(), predictor.in_scope():
        if part is not None:
            maps = model.backbone(images)
            return {f'map{i}': x.numpy() for i, x in zip(model.backbone.out_indices, maps, strict=True)}
        if predictor.task == 'classification':
            return {'scores': torch.stack([sample.pred_score for sample in model.predict(images)]).numpy()}
        if predictor.task == 'segmentation':
            metas = [{'img_shape': tuple(images.shape[2:])}] * len(images)
            return {'logits': model.encode_decode(images, metas).numpy()}
        return detections(predictor, images)


def detections(predictor: Predictor, images: Tensor) -> dict[str, np.ndarray]:
    """Likewise of a detector; masks inside of the boxes, as the host has none, by the graph."""
    from mmdet.structures import DetDataSample

    model = predictor.network
    size = tuple(images.shape[2:])
    meta = {'img_shape': size, 'ori_shape': size, 'scale_factor': (1.0, 1.0)}
    samples = [DetDataSample(metainfo=meta) for _ in images]
    found = model.predict(padded(images, model.data_preprocessor.pad_size_divisor), samples, rescale=False)
    objects = [sample.pred_instances for sample in found]
    outputs = {
        'boxes': torch.cat([each.bboxes for each in objects]),
        'scores': torch.cat([each.scores for each in objects]),
        'labels': torch.cat([each.labels for each in objects]),
        'image_indices': torch.cat([each.labels.new_full((len(each),), i) for i, each in enumerate(objects)]),
    }
    if model.roi_head.with_mask:
        rois = torch.cat([outputs['image_indices'].unsqueeze(1).float(), outputs['boxes']], dim=1)
        graph = graph_of(predictor)
        outputs['masks'] = graph.masks(graph.maps_of(images), rois, outputs['labels'])
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def finding_everything(predictor: Predictor) -> Predictor:
    """A copy of a detector that leaves no object out for its score: images of chance hold none that is sure."""
    copied = deepcopy(predictor)
    copied.network.roi_head.test_cfg.score_thr = 0.0
    copied.network.test_cfg.rcnn.score_thr = 0.0
    return copied
