"""Validate and test detectors on large images in tiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.runner import TestLoop, ValLoop
from mmengine.structures import InstanceData

from ..config import iter_unwrapped_datasets
from ..evaluation.ground_truth import build_dataset
from ..inference.loading import make_predictor
from ..mmengine_utils import get_image_name, unwrap_model
from ..registry import LOOPS


class TiledLoop:
    """Base class of the loops, which detect objects in whole images by the tiles and the merge of ``predict --tiles``.

    The dataset's pipeline prepares each tile, of ``side`` pixels. The other arguments are those of mmengine's loops.
    """

    stage: str  # in the names of hooks

    def __init__(self, runner: Any, dataloader: dict, evaluator: Any, side: int, **kwargs: Any) -> None:
        settings, scope = dataloader['dataset'], runner.cfg.default_scope
        # mmdet's hook for ``test --show-dir`` takes neither RLE nor ground truth without masks.
        self.is_drawn = any(getattr(hook, 'draw', False) for hook in runner.hooks)
        dataset = build_dataset(settings, scope, masks=self.is_drawn)
        first = next(iter_unwrapped_datasets(settings))
        meta, options = {'dataset_meta': dataset.metainfo}, {'score_thr': 0.0, 'tiles': side}
        self.predictor = make_predictor(unwrap_model(runner), scope, first, meta, **options)
        super().__init__(runner, {**dataloader, 'dataset': dataset}, evaluator, **kwargs)

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: dict[str, Any]) -> None:
        """Predict a batch of whole images, and pass the objects to the evaluator."""
        self.runner.call_hook(f'before_{self.stage}_iter', batch_idx=idx, data_batch=data_batch)
        images = [image.permute(1, 2, 0).numpy() for image in data_batch['inputs']]
        samples = self.add_predictions(data_batch['data_samples'], images)
        self.evaluator.process(data_samples=samples, data_batch=data_batch)
        self.runner.call_hook(f'after_{self.stage}_iter', batch_idx=idx, data_batch=data_batch, outputs=samples)

    def add_predictions(self, samples: Sequence[Any], images: Sequence[np.ndarray]) -> Sequence[Any]:
        """Predict images (height, width, 3). Return the samples with the objects as ``pred_instances``.

        Their masks are RLE where possible, since arrays of hundreds of objects in a large image take gigabytes.
        """
        from mmdet.evaluation import CocoMetric
        from mmdet.models.utils import samplelist_boxtype2tensor
        from mmdet.structures.mask import encode_mask_results

        samplelist_boxtype2tensor(samples)  # as mmdet's data_preprocessor, for the hook that draws
        takes_rle = not self.is_drawn and all(isinstance(metric, CocoMetric) for metric in self.evaluator.metrics)
        for sample, outcome in zip(samples, self.predictor.predict_batch(images), strict=True):
            objects = outcome.get(get_image_name(sample))
            values = {'bboxes': objects.boxes, 'scores': objects.scores, 'labels': objects.labels}
            sample.pred_instances = InstanceData(**{name: torch.from_numpy(value) for name, value in values.items()})
            if (masks := objects.masks) is not None:
                encoded = encode_mask_results(masks) if takes_rle else torch.from_numpy(np.asarray(masks))
                sample.pred_instances.masks = encoded
        return samples


@LOOPS.register_module()
class TiledValLoop(TiledLoop, ValLoop):
    """mmengine's validation loop as a :class:`TiledLoop`."""

    stage = 'val'


@LOOPS.register_module()
class TiledTestLoop(TiledLoop, TestLoop):
    """mmengine's test loop as a :class:`TiledLoop`."""

    stage = 'test'
