"""A run formats its config once, and lets cuDNN time its kernels in training only."""

from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmgcvit.engine.hooks.cudnn_benchmark import CudnnBenchmarkHook
from mmgcvit.engine.setup import build_runner

from .random_training import GivenScore, make_config, make_evaluation, run

EPOCHS = {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 2}


def test_cudnn_times_its_kernels_in_training_only(tmp_path, monkeypatch):
    seen = {'train': set(), 'val': set()}

    class NoteHook(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            seen['train'].add(torch.backends.cudnn.benchmark)

        def before_val_iter(self, runner, batch_idx, data_batch=None):
            seen['val'].add(torch.backends.cudnn.benchmark)

    monkeypatch.setattr(torch.backends.cudnn, 'benchmark', True)
    cfg = make_config(tmp_path, EPOCHS, **make_evaluation(GivenScore(lambda: 1.0)))
    cfg.custom_hooks = [CudnnBenchmarkHook(), NoteHook()]
    cfg.env_cfg = {'cudnn_benchmark': True}
    run(cfg)
    assert seen == {'train': {True}, 'val': {False}}


@pytest.mark.parametrize('num_saved', [1, 5])
def test_a_config_is_formatted_once_for_all_checkpoints(num_saved, tmp_path):
    cfg = make_config(tmp_path, EPOCHS)
    text = Config.pretty_text.fget
    with mock.patch.object(Config, 'pretty_text', property(formatted := mock.Mock(wraps=text))):
        runner = build_runner(cfg, None)
        texts = [runner.cfg.pretty_text for _ in range(num_saved)]
    assert formatted.call_count == 1
    assert {*texts} == {cfg.pretty_text}
    assert isinstance(runner, Runner)
