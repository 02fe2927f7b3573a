"""--log-to adds programs that show a training's curves, beside what the config has."""

import pytest
from mmengine.config import Config

from mmgcvit.commands import trackers
from mmgcvit.commands.trackers import log_to
from mmgcvit.errors import UserError


@pytest.fixture
def _all_installed(monkeypatch):
    monkeypatch.setattr(trackers, 'find_spec', lambda name: name)


def types(cfg):
    return [backend.type for backend in cfg.visualizer.vis_backends]


@pytest.mark.usefixtures('_all_installed')
def test_backends_are_added_once_beside_those_of_the_config():
    cfg = Config({'visualizer': {'type': 'DetLocalVisualizer', 'vis_backends': [{'type': 'LocalVisBackend'}]}})
    log_to(cfg, ['tensorboard'])
    log_to(cfg, ['tensorboard', 'wandb'])
    assert cfg.visualizer.type == 'DetLocalVisualizer'
    assert types(cfg) == ['LocalVisBackend', 'TensorboardVisBackend', 'WandbVisBackend']


@pytest.mark.usefixtures('_all_installed')
def test_a_config_without_a_visualizer_keeps_its_files():
    cfg = Config({})
    log_to(cfg, ['wandb'])
    assert types(cfg) == ['LocalVisBackend', 'WandbVisBackend']


def test_a_missing_package_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(trackers, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match='pip install tensorboard wandb'):
        log_to(Config({}), ['tensorboard', 'wandb'])
