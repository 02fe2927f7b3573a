"""Predictions that are not finite fit no object."""

import contextlib
import io
from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.model import BaseTTAModel
from mmengine.structures import InstanceData
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import nn

from mmgcvit.hosts.mmdet import FinitePredictionsHook

from ..conftest import ROOT
from .test_float32 import small_detector

NAN, INF = float('nan'), float('inf')


def sample_of(boxes, scores):
    sample = DetDataSample(metainfo={'img_path': 'x.jpg'})
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor(boxes), scores=torch.tensor(scores), labels=torch.arange(len(boxes))
    )
    return sample


@pytest.fixture
def detector(monkeypatch):
    """One that predicts what it is told."""
    model = small_detector('faster_rcnn_gcvit_t_boxonly').eval()
    monkeypatch.setattr(type(model), 'forward', lambda self, samples, mode='predict': samples)
    return model


class Views(BaseTTAModel):
    def merge_preds(self, data_samples_list):
        return data_samples_list


WRAPPERS = {'bare': lambda model: model, 'wrapped': nn.Sequential, 'several views': Views}


@pytest.mark.parametrize('wrap', WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize('loop', ['val', 'test'])
def test_what_is_not_finite_is_left_out(detector, wrap, loop):
    good = [1.0, 2, 30, 40]
    sample = sample_of([good, [NAN, 2, 30, 40], good, [1, 2, INF, 40], good], [0.5, 0.9, NAN, 0.8, 0.3])
    hook, runner = FinitePredictionsHook(), SimpleNamespace(model=wrap(detector))
    getattr(hook, f'before_{loop}')(runner)
    detector([sample])
    assert sample.pred_instances.labels.tolist() == [0, 4]
    assert hook.images == ['x.jpg']
    getattr(hook, f'after_{loop}')(runner)
    left = sample_of([[NAN] * 4], [0.5])
    detector([left])
    assert len(left.pred_instances) == 1, 'after the loop it looks no more'


def average_precision(box):
    truth = {'id': 1, 'image_id': 1, 'category_id': 1, 'bbox': [10, 10, 20, 20], 'area': 400, 'iscrowd': 0}
    coco = COCO()
    coco.dataset = {'info': {}, 'images': [{'id': 1, 'height': 99, 'width': 99}], 'categories': [{'id': 1}]}
    coco.dataset['annotations'] = [truth]
    coco.createIndex()
    found = coco.loadRes([{'image_id': 1, 'category_id': 1, 'bbox': box, 'score': 0.5}])
    evaluation = COCOeval(coco, found, 'bbox')
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats[0]


def test_left_to_pycocotools_they_would_fit_any():
    """Why there is a hook; where this fails, it may be removed."""
    with contextlib.redirect_stdout(io.StringIO()):
        assert average_precision([60, 60, 20, 20]) == 0
        assert average_precision([NAN] * 4) == pytest.approx(1)


def test_every_detector_has_the_hook():
    hooks = Config.fromfile(ROOT / 'configs' / '_base_' / 'runtime_det.py').default_hooks
    assert hooks.finite_predictions.type == 'mmgcvit.FinitePredictionsHook'
