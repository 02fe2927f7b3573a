"""What the options of training do to a config, and which it cannot do."""

import pytest
import torch
from mmengine.config import Config

from mmgcvit.engine import train
from mmgcvit.engine.train import add_trackers, enable_amp, enable_lr_scaling
from mmgcvit.errors import UserError


def test_mixed_precision_is_for_gpus_and_keeps_what_the_config_says(monkeypatch):
    cfg = Config({'optim_wrapper': {'optimizer': {'type': 'AdamW'}, 'loss_scale': 512.0}})
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(UserError, match=r'needs a GPU.*leave the option out'):
        enable_amp(cfg)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'mmgcvit.AutoPrecisionOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 512.0
    with pytest.raises(UserError, match='ApexOptimWrapper'):
        enable_amp(Config({'optim_wrapper': {'type': 'ApexOptimWrapper'}}))


def test_a_config_that_does_not_say_its_batch_size_cannot_be_scaled():
    with pytest.raises(UserError, match=r'--auto-scale-lr: the config does not set auto_scale_lr\.base_batch_size'):
        enable_lr_scaling(Config({}))


def test_trackers_are_added_once_beside_those_of_the_config(monkeypatch):
    monkeypatch.setattr(train, 'find_spec', lambda name: name)
    cfg = Config({'visualizer': {'type': 'DetLocalVisualizer', 'vis_backends': [{'type': 'LocalVisBackend'}]}})
    add_trackers(cfg, ['tensorboard'])
    add_trackers(cfg, ['tensorboard', 'wandb'])
    assert cfg.visualizer.type == 'DetLocalVisualizer'
    backends = ['LocalVisBackend', 'TensorboardVisBackend', 'WandbVisBackend']
    assert [backend.type for backend in cfg.visualizer.vis_backends] == backends
    cfg = Config({})
    add_trackers(cfg, ['wandb'])
    assert [backend.type for backend in cfg.visualizer.vis_backends] == ['LocalVisBackend', 'WandbVisBackend']
    monkeypatch.setattr(train, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match='pip install tensorboard wandb'):
        add_trackers(Config({}), ['tensorboard', 'wandb'])
