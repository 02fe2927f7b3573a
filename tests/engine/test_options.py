"""Options of train and test change the config or are rejected; the work dir, data and batch size
are checked.
"""

import os
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from mmgcvit.engine import setup, train
from mmgcvit.engine.setup import check_data, join_process_group, load_config
from mmgcvit.engine.test import enable_drawing, enable_tta
from mmgcvit.engine.train import add_trackers, check_batch_size, enable_amp
from mmgcvit.errors import UserError

from ..datasets.checks.made import config as config_with
from ..datasets.checks.made import cut, write_coco


def test_amp_needs_a_gpu_and_keeps_the_loss_scale_of_the_config(monkeypatch):
    cfg = Config(
        {
            'optim_wrapper': {
                'type': OptimWrapper,
                'optimizer': {'type': 'AdamW'},
                'loss_scale': 512.0,
            }
        }
    )
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(UserError, match=r'needs a GPU, and torch finds none\. Remove --amp'):
        enable_amp(cfg)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'mmgcvit.AutoPrecisionOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 512.0


def test_trackers_are_added_once_to_those_of_the_config(monkeypatch):
    monkeypatch.setattr(train, 'find_spec', lambda name: name)
    cfg = Config(
        {
            'visualizer': {
                'type': 'DetLocalVisualizer',
                'vis_backends': [{'type': 'LocalVisBackend'}],
            }
        }
    )
    add_trackers(cfg, ['tensorboard'])
    add_trackers(cfg, ['tensorboard', 'wandb'])
    assert cfg.visualizer.type == 'DetLocalVisualizer'
    backends = ['LocalVisBackend', 'TensorboardVisBackend', 'WandbVisBackend']
    assert [backend.type for backend in cfg.visualizer.vis_backends] == backends
    monkeypatch.setattr(train, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match='pip install tensorboard wandb'):
        add_trackers(Config({}), ['tensorboard', 'wandb'])


def test_options_that_the_config_does_not_support_are_rejected(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    draw, scale = (
        partial(enable_drawing, folder='x'),
        partial(check_batch_size, file_cfg=Config(), world_size=1),
    )
    for enable, config, message in (
        (enable_amp, {'optim_wrapper': {'type': 'ApexOptimWrapper'}}, 'ApexOptimWrapper'),
        (
            scale,
            {'auto_scale_lr': {'enable': True}},
            r'--auto-scale-lr: the config has no .*\.base_batch_size',
        ),
        (enable_tta, {}, r'--tta: the config has no tta_model and no tta_pipeline\.'),
        (
            enable_tta,
            {'test_cfg': {'side': 64}},
            r'--tta cannot be used with tiles .* Remove --tta',
        ),
        (
            draw,
            {'default_scope': 'mmpose', 'model': {'type': 'Pose'}},
            '--show-dir cannot draw .* of Pose of mmpose',
        ),
    ):
        with pytest.raises(UserError, match=message):
            enable(Config(config))


def test_show_dir_enables_the_drawing_hook_with_the_score_threshold():
    """Configs in the work dirs of older versions have this project's hook under the same key."""
    hook = {'type': 'DetVisualizationHook', 'draw': True, 'test_out_dir': str(Path('x').absolute())}
    old = {'type': 'mmgcvit.ValVisualizationHook', 'score_thr': 0.5}
    for hooks, score_thr in (
        (None, 0.3),
        ({'visualization': old, 'timer': {'type': 'IterTimerHook'}}, 0.5),
    ):
        cfg = Config({'default_hooks': hooks, 'default_scope': 'mmdet', 'model': {}})
        enable_drawing(cfg, 'x')
        assert cfg.default_hooks == {
            **(hooks or {}),
            'visualization': {**hook, 'score_thr': score_thr},
        }


@pytest.mark.parametrize(
    ('launcher', 'variable'), [('pytorch', 'LOCAL_RANK'), *setup.LOCAL_RANK_VARIABLES.items()]
)
def test_a_launcher_without_gpus_is_rejected_with_the_script_to_use(
    launcher, variable, monkeypatch
):
    """The process with local rank 0 prints the error, while the others wait to be ended."""
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.setattr('time.sleep', slept := mock.Mock())
    monkeypatch.delenv('RANK', raising=False)
    rejected = pytest.raises(
        UserError, match=rf'--launcher {launcher}: torch finds no GPU\. .*tools/dist_train\.sh'
    )
    for rank in '03':
        monkeypatch.setenv('LOCAL_RANK', '0')
        monkeypatch.setenv(variable, rank)
        with rejected, setup.run_rank(launcher, 0):
            join_process_group(Config({'launcher': launcher}))
        assert (os.environ['LOCAL_RANK'], slept.called) == (rank, rank == '3')


def test_options_override_the_config_and_the_default_work_dir_has_its_name(tmp_path, monkeypatch):
    path = tmp_path / 'some_config.py'
    path.write_text('env_cfg = dict(b=1, c=2)')
    monkeypatch.chdir(tmp_path)
    assert load_config(path).work_dir == 'work_dirs/some_config'
    cfg = load_config(path, ['env_cfg.b=3'], 'here')
    assert (cfg.work_dir, cfg.env_cfg.b, cfg.env_cfg.c) == ('here', 3, 2)


def test_data_that_would_stop_the_run_is_rejected_by_file_name(tmp_path):
    cfg = config_with(write_coco(tmp_path))
    cut(tmp_path / 'images' / 'b.jpg')
    with pytest.raises(UserError, match=r'images/b\.jpg'):
        check_data(cfg, ['train_dataloader'])
    # With no images to open, annotations and missing files are still checked.
    cfg.data_checks = {'images': 0}
    check_data(cfg, ['train_dataloader'])
    (tmp_path / 'images' / 'b.jpg').unlink()
    with pytest.raises(UserError, match=r'images/b\.jpg'):
        check_data(cfg, ['train_dataloader'])


# The batch size without accumulation, images per process and accumulation steps. HALVED has the
# base batch size and the images of the recipe divided by its steps.
PLAIN, SUM, HALVED = (16, 2, 1), (512, 64, 2), (8, 1, 2)


@pytest.mark.parametrize(
    ('settings', 'recipe', 'processes', 'sizes'),
    [
        *(
            (PLAIN, PLAIN, 16, (16, 32)),
            ((16, 2, 4), PLAIN, 8, (16, 64)),
            (SUM, SUM, 4, (1024, 512)),
        ),
        *(
            (HALVED, PLAIN, 4, (16, 8)),
            (PLAIN, PLAIN, 8, (16, 16)),
            ((512, 256, 1), SUM, 4, (1024, 1024)),
        ),
    ],
)
def test_the_lr_follows_the_effective_batch_size_and_ema_the_steps(
    settings, recipe, processes, sizes
):
    """mmengine divides the batch size without accumulation by base_batch_size."""
    cfg, recipe_cfg = (
        Config(
            {
                'auto_scale_lr': {'base_batch_size': base},
                'train_dataloader': {'batch_size': images},
                'optim_wrapper': {'accumulative_counts': counts},
                'custom_hooks': [{'type': 'EMAHook', 'interval': recipe[2]}],
            }
        )
        for base, images, counts in (settings, recipe)
    )
    warning = '. '.join(check_batch_size(cfg, recipe_cfg, processes))
    text = f'batch size of {sizes[0]}; this run has {sizes[1]} ({processes} x '
    assert (text in warning) == ('effective' in warning) == (sizes[0] != sizes[1])
    assert (f'Set custom_hooks.0.interval={settings[2]}' in warning) == (settings[2] != recipe[2])
    assert processes * settings[1] / cfg.auto_scale_lr.base_batch_size == sizes[1] / sizes[0]
    cfg.auto_scale_lr.enable, cfg.custom_hooks = True, []
    assert not check_batch_size(cfg, cfg, processes), 'the work dir has this config'
