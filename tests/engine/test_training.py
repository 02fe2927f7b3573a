"""What the options of training do to a config, and which it cannot do."""

import pytest
import torch
from mmengine.config import Config

from mmgcvit.checkpoints import save_whole
from mmgcvit.engine import training
from mmgcvit.engine.training import allow_overwriting, enable_amp, log_to, scale_learning_rate, settle
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


def test_options_that_the_config_cannot_do_are_refused():
    for change, config, words in (
        (scale_learning_rate, {}, '--auto-scale-lr: the config does not say'),
        (allow_overwriting, {}, "--overwrite: the config's default_hooks.checkpoint is None"),
    ):
        with pytest.raises(UserError, match=words):
            change(Config(config))


def test_trackers_are_added_once_beside_those_of_the_config(monkeypatch):
    monkeypatch.setattr(training, 'find_spec', lambda name: name)
    cfg = Config({'visualizer': {'type': 'DetLocalVisualizer', 'vis_backends': [{'type': 'LocalVisBackend'}]}})
    log_to(cfg, ['tensorboard'])
    log_to(cfg, ['tensorboard', 'wandb'])
    assert cfg.visualizer.type == 'DetLocalVisualizer'
    backends = ['LocalVisBackend', 'TensorboardVisBackend', 'WandbVisBackend']
    assert [backend.type for backend in cfg.visualizer.vis_backends] == backends
    cfg = Config({})
    log_to(cfg, ['wandb'])
    assert [backend.type for backend in cfg.visualizer.vis_backends] == ['LocalVisBackend', 'WandbVisBackend']
    monkeypatch.setattr(training, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match='pip install tensorboard wandb'):
        log_to(Config({}), ['tensorboard', 'wandb'])


def test_before_processes_have_joined_as_on_gpus_each_finds_its_checkpoint_itself(tmp_path, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '1')
    monkeypatch.setattr(training, 'check_changes', lambda *_: None)
    # mmengine's logger would ask for the GPU of that number.
    monkeypatch.setattr('mmgcvit.checkpoints.run_folder.print_log', lambda *_: None)
    for number in (1, 2):
        save_whole({'state_dict': {}}, tmp_path / f'epoch_{number}.pth')
    for name, found in (('auto', 'epoch_2.pth'), (str(tmp_path / 'epoch_1.pth'), 'epoch_1.pth')):
        hook = {'type': 'mmgcvit.WholeCheckpointHook'}
        cfg = Config({'work_dir': str(tmp_path), 'launcher': 'pytorch', 'default_hooks': {'checkpoint': hook}})
        settle(cfg, name)
        assert (cfg.resume, cfg.load_from) == (True, str(tmp_path / found))
