"""A training says how much it trains, and at its end the best checkpoint and what to call next."""

import shlex

import pytest
from mmengine.evaluator import BaseMetric
from mmengine.runner import Runner

from mmgcvit.engine.hooks.summary import SummaryHook

from .drawing import config, validating

LOOP = {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 2}


class Falling(BaseMetric):
    """Worse every time: the first validation is the best."""

    def __init__(self):
        super().__init__()
        self.score = 0.75

    def process(self, data_batch, data_samples):
        self.results += [0]

    def compute_metrics(self, results):
        self.score /= 2
        return {'toy/mAP': self.score}


@pytest.mark.parametrize('has_best', [True, False])
def test_parameters_checkpoint_and_commands_are_said(has_best, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('mmgcvit.engine.hooks.summary.is_drawn', lambda cfg: has_best)
    work_dir = tmp_path / 'my run'
    cfg = config(work_dir, LOOP, saves=None, log_level='INFO', **(validating(Falling()) if has_best else {}))
    cfg.default_hooks.checkpoint.update({'save_best': 'toy/mAP', 'rule': 'greater'} if has_best else {})
    runner = Runner.from_cfg(cfg)
    runner.register_hook(SummaryHook())
    runner.train()
    (log,) = work_dir.glob('*/*.log')
    text = log.read_text()
    assert '0.0 M of 0.0 M parameters are trained' in text
    said = text.partition(' - finished\n')[2].splitlines()
    name = 'best_toy_mAP_epoch_1.pth' if has_best else 'epoch_2.pth'
    path = shlex.quote(f'my run/{name}')
    if has_best:
        folder = shlex.quote('my run')
        assert said == [
            f'best toy_mAP 0.375: {path}',
            'next:',
            f'  mmgcvit predict {folder} YOUR_PICTURES',
            f'  mmgcvit mistakes {folder}',
            f'  mmgcvit publish {folder} {shlex.quote("my run/model.safetensors")}',
        ]
    else:
        assert said == [f'last checkpoint: {path}']
