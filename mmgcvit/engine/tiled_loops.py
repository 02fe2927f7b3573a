"""mmengine's validation and test loops on images in tiles."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.evaluator import Evaluator
from mmengine.runner import BaseLoop, Runner, TestLoop, ValLoop
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch import Tensor

from ..datasets.loading import build_dataset
from ..host.datasets import iter_unwrapped_datasets
from ..host.runners import get_image_name, unwrap_model
from ..ops.rle import RLE
from ..predict.detector import Detector
from ..predict.loading import make_predictor
from ..predict.predictor import Predictor
from ..predict.results import Detections, Masks, Segmentation, encode_masks
from ..registry import LOOPS
from .hooks.encode_masks import is_coco_metric


def build_dataset_and_predictor(
    runner: Runner, settings: ConfigDict, masks: bool, score_thr: float
) -> tuple[BaseDataset, Predictor[Any]]:
    """Build a dataset of a run's config, and a predictor of the run's model for its images.

    ``masks`` says whether the dataset loads them, and ``score_thr`` is a detector's confidence
    threshold.
    """
    scope = runner.cfg.default_scope
    dataset = build_dataset(settings, scope, masks=masks)
    first = next(iter_unwrapped_datasets(settings))
    meta = {'dataset_meta': dataset.metainfo}
    model = unwrap_model(runner)
    predictor = make_predictor(model, scope, dataset=first, meta=meta)
    if isinstance(predictor, Detector):
        predictor = replace(predictor, score_thr=score_thr)
    return dataset, predictor


class TiledLoop(BaseLoop):
    """Base class of loops that predict whole images by the tiles and the merge of a
    :class:`.Predictor` with ``tiles``, so that objects and pixels of whole images are scored.

    The dataset's pipeline prepares each tile, of ``side`` pixels. The other arguments are those of
    mmengine's loops.
    """

    stage: str  # in the names of hooks

    def __init__(
        self,
        runner: Runner,
        dataloader: dict[str, Any],
        evaluator: Evaluator | dict[str, Any] | list[dict[str, Any]],
        side: int,
        **kwargs: Any,
    ):
        dataset, predictor = build_dataset_and_predictor(
            runner, dataloader['dataset'], masks=False, score_thr=0.0
        )
        self.predictor = replace(predictor, tiles=side)
        super().__init__(runner, {**dataloader, 'dataset': dataset}, evaluator, **kwargs)

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict[str, Any]) -> None:
        """Predict a batch of whole images for the evaluator."""
        self.runner.call_hook(f'before_{self.stage}_iter', batch_idx=idx, data_batch=data_batch)
        images = [image.permute(1, 2, 0).numpy() for image in data_batch['inputs']]
        samples = data_batch['data_samples']
        for sample, outcome in zip(samples, self.predictor.predict_batch(images), strict=True):
            self.add_prediction(sample, outcome.get(get_image_name(sample)))
        self.evaluator.process(data_samples=samples, data_batch=data_batch)
        self.runner.call_hook(
            f'after_{self.stage}_iter', batch_idx=idx, data_batch=data_batch, outputs=samples
        )

    def add_prediction(
        self, sample: BaseDataElement, prediction: Detections | Segmentation
    ) -> None:
        """Add the prediction of an image to its data sample, as a network of mmdet or mmseg
        does.
        """
        if isinstance(prediction, Segmentation):
            label_map = torch.from_numpy(prediction.label_map)
            sample.pred_sem_seg = PixelData(data=label_map[None])
            return
        sample.pred_instances = InstanceData(
            bboxes=prediction.boxes, scores=prediction.scores, labels=prediction.labels
        ).to_tensor()
        if prediction.masks is not None:
            sample.pred_instances.masks = self.convert_masks(prediction.masks)

    def convert_masks(self, masks: Masks) -> list[RLE] | Tensor:
        """Return masks (n, height, width) as RLE, because arrays are large, or as a tensor if a
        metric does not read RLE.
        """
        if all(map(is_coco_metric, self.evaluator.metrics)):
            return encode_masks(masks)
        return torch.from_numpy(np.asarray(masks))


@LOOPS.register_module()
class TiledValLoop(TiledLoop, ValLoop):
    """mmengine's validation loop as a :class:`TiledLoop`."""

    stage = 'val'


@LOOPS.register_module()
class TiledTestLoop(TiledLoop, TestLoop):
    """mmengine's test loop as a :class:`TiledLoop`."""

    stage = 'test'
