"""Options of train and test change the config, or are rejected if the config does not support them."""

import pytest
import torch
from mmengine.config import Config

from mmgcvit.engine import train
from mmgcvit.engine.processes import join_process_group
from mmgcvit.engine.test import enable_drawing, enable_tta
from mmgcvit.engine.train import add_trackers, enable_amp, enable_lr_scaling
from mmgcvit.errors import UserError
from mmgcvit.mmengine_utils import replace_type


def test_amp_needs_a_gpu_and_keeps_the_loss_scale_of_the_config(monkeypatch):
    cfg = Config({'optim_wrapper': {'optimizer': {'type': 'AdamW'}, 'loss_scale': 512.0}})
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(UserError, match=r'needs a GPU, and torch finds none\. Remove --amp'):
        enable_amp(cfg)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'mmgcvit.AutoPrecisionOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 512.0
    with pytest.raises(UserError, match='ApexOptimWrapper'):
        enable_amp(Config({'optim_wrapper': {'type': 'ApexOptimWrapper'}}))


def test_lr_scaling_without_a_base_batch_size_is_rejected():
    with pytest.raises(UserError, match=r'--auto-scale-lr: the config has no auto_scale_lr\.base_batch_size'):
        enable_lr_scaling(Config({}))


def test_trackers_are_added_once_to_those_of_the_config(monkeypatch):
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


def draw(cfg):
    enable_drawing(cfg, 'x')


def test_options_that_the_config_does_not_support_are_rejected():
    for enable, config, message in (
        (enable_tta, {}, r'--tta: the config has no tta_model and no tta_pipeline\.'),
        (enable_tta, {'tta_model': {'type': 'Merging'}, 'tta_pipeline': None}, r'the config has no tta_pipeline\.'),
        (enable_tta, {'tta_pipeline': [{'type': 'Resize'}]}, r'the config has no tta_model\.'),
        (
            draw,
            {'default_scope': 'mmpose', 'model': {'type': 'Pose'}},
            '--show-dir cannot draw the predictions of Pose of mmpose',
        ),
        (
            draw,
            {'default_scope': 'mmdet', 'model': {'type': 'Byte', 'tracker': {}}},
            '--show-dir cannot draw the predictions of Byte of mmdet',
        ),
    ):
        with pytest.raises(UserError, match=message):
            enable(Config(config))


def test_show_dir_adds_a_drawing_hook_with_the_score_threshold_of_the_config():
    hook = {'type': 'mmgcvit.ValVisualizationHook', 'test_out_dir': 'x', 'score_thr': 0.5}
    for config, hooks in (
        ({'default_hooks': {'visualization': {'score_thr': 0.5}}}, [hook]),
        ({'custom_hooks': [{'type': 'EMAHook'}]}, [{'type': 'EMAHook'}, {**hook, 'score_thr': 0.3}]),
    ):
        cfg = Config({**config, 'default_scope': 'mmseg', 'model': {}})
        enable_drawing(cfg, 'x')
        assert cfg.custom_hooks == hooks


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_launcher_without_gpus_is_rejected_with_the_script_to_use(launcher, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(UserError, match=rf'--launcher {launcher}: torch finds no GPU\. .*tools/dist_train\.sh'):
        join_process_group(Config({'launcher': launcher}))


def test_a_type_is_replaced_at_every_depth_of_a_config():
    cfg = Config({'model': {'heads': [{'norm_cfg': {'type': 'SyncBN'}}, {'x': ({'type': 'SyncBN'},)}], 'type': 'A'}})
    replace_type(cfg.model, 'SyncBN', 'BN')
    assert 'SyncBN' not in str(cfg)
    assert str(cfg).count("'BN'") == 2
