"""A training logs its trainable parameters and, at its end, the best checkpoint and the next commands."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from torch import nn

from mmgcvit import GCViT
from mmgcvit.engine.hooks.summary import SummaryHook

from .drawing import make_config, make_evaluation, run

LOOP = {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 2}


class Falling(BaseMetric):
    """A metric whose score falls, so that the first validation is the best."""

    def __init__(self):
        super().__init__()
        self.score = 0.75

    def process(self, data_batch, data_samples):
        self.results += [0]

    def compute_metrics(self, results):
        self.score /= 2
        return {'toy/mAP': self.score}


@pytest.mark.parametrize('has_best', [True, False])
def test_trainable_parameters_checkpoint_and_next_commands_are_logged(has_best, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('mmgcvit.engine.hooks.summary.can_draw_predictions', lambda cfg: has_best)
    work_dir = tmp_path / 'my run'
    cfg = make_config(work_dir, LOOP, saves=None, log_level='INFO', **(make_evaluation(Falling()) if has_best else {}))
    cfg.default_hooks.checkpoint.update({'save_best': 'toy/mAP', 'rule': 'greater'} if has_best else {})
    run(cfg, hook=SummaryHook())
    (log,) = work_dir.glob('*/*.log')
    text = log.read_text()
    assert '0.0 M of 0.0 M parameters are trainable' in text
    best = [
        "best toy_mAP 0.375: 'my run/best_toy_mAP_epoch_1.pth'",
        'next:',
        "  mmgcvit predict 'my run' YOUR_PICTURES",
        "  mmgcvit mistakes 'my run'",
        "  mmgcvit plot 'my run'",
        "  mmgcvit publish 'my run'",
    ]
    last = ["last checkpoint: 'my run/epoch_2.pth'"]
    assert text.partition(' - finished\n')[2].splitlines() == (best if has_best else last)


def test_lora_is_logged():
    messages, model = [], nn.Module()
    model.backbone = GCViT('xxtiny', lora_rank=4)
    cfg = Config({'train_cfg': {'max_epochs': 1}})
    SummaryHook().before_train(
        SimpleNamespace(model=model, cfg=cfg, epoch=0, logger=SimpleNamespace(info=messages.append))
    )
    assert messages == ['0.1 M of 11.5 M parameters are trainable (LoRA of rank 4)']
