"""Masks of large images are RLE if only mmdet's CocoMetric reads them, in validations and tests."""

from types import SimpleNamespace

import pytest
from mmdet.evaluation import CocoMetric
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator

from mmgcvit.engine.hooks.encode_masks import EncodeMasksHook

from ..random_training import GivenScore


@pytest.mark.parametrize('stage', ['val', 'test'])
@pytest.mark.parametrize(
    ('metrics', 'draw', 'is_limited'),
    [
        ([CocoMetric], False, True),
        ([CocoMetric], True, False),
        ([CocoMetric, GivenScore], False, False),
        ([GivenScore], False, False),
    ],
)
def test_masks_are_arrays_where_something_else_reads_them(stage, metrics, draw, is_limited):
    evaluator = Evaluator([metric.__new__(metric) for metric in metrics])
    samples = [DetDataSample(), DetDataSample()]
    runner = SimpleNamespace(
        hooks=[SimpleNamespace(draw=draw), EncodeMasksHook()],
        val_evaluator=evaluator if stage == 'val' else None,
        test_evaluator=evaluator if stage == 'test' else None,
    )
    before = getattr(EncodeMasksHook(), f'before_{stage}_iter')
    before(runner, batch_idx=0, data_batch={'data_samples': samples})
    assert ['max_mask_bytes' in sample.metainfo for sample in samples] == [is_limited] * 2
