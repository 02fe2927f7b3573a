"""Options of train and test change the config or are rejected; the work dir, data and batch size are checked."""

from functools import partial
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.config import Config

from mmgcvit.config import iter_dicts, read_config
from mmgcvit.engine import train
from mmgcvit.engine.setup import check_data, check_work_dir, join_process_group, load_config
from mmgcvit.engine.test import enable_drawing, enable_tta
from mmgcvit.engine.train import add_trackers, enable_amp, enable_lr_scaling, warn_of_batch_size
from mmgcvit.errors import UserError

from ..datasets.checks.made import config as config_with
from ..datasets.checks.made import cut, write_coco


def test_amp_needs_a_gpu_and_keeps_the_loss_scale_of_the_config(monkeypatch):
    cfg = Config({'optim_wrapper': {'optimizer': {'type': 'AdamW'}, 'loss_scale': 512.0}})
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(UserError, match=r'needs a GPU, and torch finds none\. Remove --amp'):
        enable_amp(cfg)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    enable_amp(cfg)
    assert cfg.optim_wrapper.type == 'mmgcvit.AutoPrecisionOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 512.0


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


def test_options_that_the_config_does_not_support_are_rejected(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    draw = partial(enable_drawing, folder='x')
    for enable, config, message in (
        (enable_amp, {'optim_wrapper': {'type': 'ApexOptimWrapper'}}, 'ApexOptimWrapper'),
        (enable_lr_scaling, {}, r'--auto-scale-lr: the config has no auto_scale_lr\.base_batch_size'),
        (enable_tta, {}, r'--tta: the config has no tta_model and no tta_pipeline\.'),
        (enable_tta, {'tta_model': {'type': 'Merging'}, 'tta_pipeline': None}, r'the config has no tta_pipeline\.'),
        (enable_tta, {'tta_pipeline': [{'type': 'Resize'}]}, r'the config has no tta_model\.'),
        (enable_tta, {'test_cfg': {'side': 64}}, r'--tta cannot be used with tiles .* Remove --tta'),
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


def test_show_dir_enables_the_drawing_hook_of_the_package_with_the_score_threshold_of_the_config():
    """Configs in the work dirs of older versions have this project's hook under the same key."""
    hook = {'type': 'DetVisualizationHook', 'draw': True, 'test_out_dir': str(Path('x').absolute())}
    old = {'type': 'mmgcvit.ValVisualizationHook', 'score_thr': 0.5}
    for hooks, score_thr in ((None, 0.3), ({'visualization': old, 'timer': {'type': 'IterTimerHook'}}, 0.5)):
        cfg = Config({'default_hooks': hooks, 'default_scope': 'mmdet', 'model': {}})
        enable_drawing(cfg, 'x')
        assert cfg.default_hooks == {**(hooks or {}), 'visualization': {**hook, 'score_thr': score_thr}}


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_launcher_without_gpus_is_rejected_with_the_script_to_use(launcher, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(UserError, match=rf'--launcher {launcher}: torch finds no GPU\. .*tools/dist_train\.sh'):
        join_process_group(Config({'launcher': launcher}))


def test_dicts_at_every_depth_of_a_config_are_found():
    cfg = Config({'model': {'heads': [{'norm_cfg': {'type': 'SyncBN'}}, {'x': ({'type': 'SyncBN'},)}], 'type': 'A'}})
    assert sum(settings.get('type') == 'SyncBN' for settings in iter_dicts(cfg.model)) == 2


def test_options_override_the_config_and_the_default_work_dir_has_its_name(tmp_path, monkeypatch):
    path = tmp_path / 'some_config.py'
    path.write_text('env_cfg = dict(b=1, c=2)')
    monkeypatch.chdir(tmp_path)
    assert load_config(path).work_dir == 'work_dirs/some_config'
    cfg = load_config(path, {'env_cfg.b': 3}, 'here')
    assert (cfg.work_dir, cfg.env_cfg.b, cfg.env_cfg.c) == ('here', 3, 2)


def test_an_unwritable_work_dir_is_rejected_and_none_is_created(tmp_path):
    check_work_dir(str(tmp_path / 'a' / 'b'))
    assert not list(tmp_path.iterdir())
    (tmp_path / 'file').touch()
    for path in ('file', 'file/run'):
        with pytest.raises(UserError, match=rf'the work dir {tmp_path}/{path} \(--work-dir\) cannot be written'):
            check_work_dir(str(tmp_path / path))


def get_error(cfg, loader='train_dataloader'):
    with pytest.raises(UserError) as error:
        check_data(cfg, [loader])
    return str(error.value)


def test_data_that_would_stop_the_run_is_rejected_by_file_name_and_skipped_annotations_are_reported(tmp_path, capsys):
    settings = write_coco(tmp_path)
    annotations, text = tmp_path / 'train.json', (tmp_path / 'train.json').read_text()
    annotations.write_text(text.replace('"area": 120', '"area": 0', 1))
    check_data(config_with(settings), ['train_dataloader'])
    assert 'or of area zero (annotation 10' in capsys.readouterr().err
    annotations.write_text(text)
    cut(tmp_path / 'images' / 'b.jpg')
    first, *_, last = get_error(config_with(settings)).splitlines()
    assert 'images/b.jpg' in first
    assert 'mmgcvit check-data' in last
    # With no images to open, annotations and missing files are still checked.
    cfg = config_with(settings)
    cfg.data_checks = {'images': 0}
    check_data(cfg, ['train_dataloader'])
    (tmp_path / 'images' / 'b.jpg').unlink()
    assert 'images/b.jpg' in get_error(cfg)


def make_cfg(base=16, images=2, counts=1, enable=False):
    return Config(
        {
            'auto_scale_lr': {'enable': enable, 'base_batch_size': base},
            'train_dataloader': {'batch_size': images},
            'optim_wrapper': {'accumulative_counts': counts},
        }
    )


PLAIN, SUM = make_cfg(), make_cfg(base=512, images=64, counts=2)
# Half the base batch size with two accumulation steps equals the recipe's, as docs/large_models.md says.
HALVED = make_cfg(base=8, images=1, counts=2)


def test_another_effective_batch_size_than_the_recipes_gives_a_warning_with_both():
    """Gradient accumulation of a recipe counts too. An equal batch size or LR scaling gives no warning."""
    for cfg, recipe, world_size, sizes in (
        *((PLAIN, PLAIN, 16, (16, 32)), (make_cfg(counts=4), PLAIN, 8, (16, 64))),
        *((SUM, SUM, 4, (1024, 512)), (HALVED, PLAIN, 4, (16, 8))),
        *((PLAIN, PLAIN, 8, None), (make_cfg(images=1, counts=2), PLAIN, 8, None), (HALVED, PLAIN, 8, None)),
        *((make_cfg(enable=True), PLAIN, 3, None), (make_cfg(base=512, images=64, counts=4), SUM, 4, None)),
        (Config(), PLAIN, 16, None),
    ):
        with mock.patch.object(train, 'print_log') as log:
            warn_of_batch_size(cfg, recipe, world_size)
        assert log.called == bool(sizes), (cfg, world_size)
        if sizes:
            text = f'batch size of {sizes[0]}; this run has {sizes[1]} ({world_size} x '
            assert text in log.call_args.args[0]


def test_recipes_have_the_batch_size_of_their_gpus():
    for name, processes in (
        *(('cascade_gcvit_b', 8), ('upernet_gcvit_b', 8)),
        *((f'demo/{name}_digits', 1) for name in ('mask_rcnn_gcvit', 'upernet_gcvit')),
    ):
        cfg = read_config(f'configs/{name}.py')
        assert cfg.auto_scale_lr.base_batch_size == processes * cfg.train_dataloader.batch_size, name
