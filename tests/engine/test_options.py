"""Options of train and test change the config or are rejected; the work dir, data and batch size are checked."""

import os
import tempfile
from copy import deepcopy
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper

from mmgcvit.config import iter_dicts, read_config
from mmgcvit.engine import setup, train
from mmgcvit.engine.setup import check_data, check_work_dir, join_process_group, load_config
from mmgcvit.engine.test import enable_drawing, enable_tta
from mmgcvit.engine.train import add_trackers, check_batch_size, enable_amp
from mmgcvit.errors import UserError

from ..datasets.checks.made import config as config_with
from ..datasets.checks.made import cut, write_coco
from ..processes import run_on_ranks


def test_amp_needs_a_gpu_and_keeps_the_loss_scale_of_the_config(monkeypatch):
    cfg = Config({'optim_wrapper': {'type': OptimWrapper, 'optimizer': {'type': 'AdamW'}, 'loss_scale': 512.0}})
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
    draw, scale = partial(enable_drawing, folder='x'), partial(check_batch_size, file_cfg=Config(), world_size=1)
    for enable, config, message in (
        (enable_amp, {'optim_wrapper': {'type': 'ApexOptimWrapper'}}, 'ApexOptimWrapper'),
        (
            scale,
            {'auto_scale_lr': {'enable': True}},
            r'--auto-scale-lr: the config has no auto_scale_lr\.base_batch_size',
        ),
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


def test_show_dir_adds_a_drawing_hook_with_the_score_threshold_of_the_config():
    hook = {'type': 'DetVisualizationHook', 'draw': True, 'test_out_dir': str(Path('x').absolute()), 'score_thr': 0.5}
    for config, hooks in (
        ({'default_hooks': {'visualization': {'score_thr': 0.5}}}, [hook]),
        ({'custom_hooks': [{'type': 'EMAHook'}]}, [{'type': 'EMAHook'}, {**hook, 'score_thr': 0.3}]),
    ):
        cfg = Config({**config, 'default_scope': 'mmdet', 'model': {}})
        enable_drawing(cfg, 'x')
        assert cfg.custom_hooks == hooks


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_launcher_without_gpus_is_rejected_with_the_script_to_use(launcher, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.delenv('RANK', raising=False)
    with pytest.raises(UserError, match=rf'--launcher {launcher}: torch finds no GPU\. .*tools/dist_train\.sh'):
        join_process_group(Config({'launcher': launcher}))


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_the_local_rank_is_the_launchers(launcher, monkeypatch):
    """mmengine's DistributedDataParallel reads LOCAL_RANK. Only one process per node prints an error at once."""
    monkeypatch.setenv('LOCAL_RANK', '0')
    names = {'pytorch': 'LOCAL_RANK', 'slurm': 'SLURM_LOCALID', 'mpi': 'OMPI_COMM_WORLD_LOCAL_RANK'}
    monkeypatch.setenv(names[launcher], '3')
    monkeypatch.setattr(setup.time, 'sleep', slept := mock.Mock())
    with pytest.raises(UserError, match='rank 3'), setup.run_rank(launcher, 0):
        raise UserError(f'rank {os.environ["LOCAL_RANK"]}')
    assert slept.called


def count_workers():
    """Build a runner that asks for eight workers, and one that asks for none. Return how many they have."""
    cfg, counts = load_config('tests/checkpoints/toy_config.py', work_dir=tempfile.mkdtemp()), []
    for asked in (8, 0):
        cfg.train_dataloader.update(num_workers=asked, persistent_workers=True, prefetch_factor=4)
        loader = setup.build_runner(cfg, None).train_dataloader
        counts.append(loader.num_workers)
    return counts


def test_ranks_share_the_cpus_of_a_node_and_a_run_needs_no_workers():
    cpus = len(os.sched_getaffinity(0))
    environments = [{'LOCAL_RANK': str(rank)} for rank in range(2)]
    assert run_on_ranks(count_workers, [(), ()], environments) == [[max(min(cpus // 2, 8), 1), 0]] * 2


def test_dicts_at_every_depth_of_a_config_are_found():
    cfg = Config({'model': {'heads': [{'norm_cfg': {'type': 'SyncBN'}}, {'x': ({'type': 'SyncBN'},)}], 'type': 'A'}})
    assert sum(settings.get('type') == 'SyncBN' for settings in iter_dicts(cfg.model)) == 2


def test_options_override_the_config_and_the_default_work_dir_has_its_name(tmp_path, monkeypatch):
    path = tmp_path / 'some_config.py'
    path.write_text('env_cfg = dict(b=1, c=2)')
    monkeypatch.chdir(tmp_path)
    assert load_config(path).work_dir == 'work_dirs/some_config'
    cfg = load_config(path, ['env_cfg.b=3'], 'here')
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
        warning = check_batch_size(deepcopy(cfg), recipe, world_size)
        text = f'batch size of {sizes[0]}; this run has {sizes[1]} ({world_size} x ' if sizes else ''
        assert text in warning, (cfg, world_size)
        assert bool(warning) == bool(sizes)


@pytest.mark.parametrize(('images', 'counts'), [(128, 4), (512, 1), (512, 2), (64, 8), (100, 3)])
def test_the_lr_is_scaled_by_the_effective_batch_size_and_ema_counts_steps(images, counts):
    """mmengine divides the batch size without accumulation by base_batch_size. The recipe has 8 x 128 x 4 images."""
    options = {'train_dataloader.batch_size': images, 'optim_wrapper.accumulative_counts': counts}
    recipe, cfg = read_config('configs/gcvit_t_in1k.py'), read_config('configs/gcvit_t_in1k.py', options)
    cfg.auto_scale_lr.enable = True
    warning = check_batch_size(cfg, recipe, world_size=8)
    assert 8 * images / cfg.auto_scale_lr.base_batch_size == pytest.approx(8 * images * counts / 4096)
    assert (f'Set custom_hooks.0.interval={counts}' in warning) == (counts != 4)
    cfg.custom_hooks[0].interval = counts
    assert not check_batch_size(cfg, cfg, world_size=8), 'the config in the work dir has the same effective batch size'


def test_recipes_have_the_batch_size_of_their_gpus():
    for name, processes in (
        *(('cascade_gcvit_b', 8), ('upernet_gcvit_b', 8)),
        *((f'demo/{name}_digits', 1) for name in ('mask_rcnn_gcvit', 'upernet_gcvit')),
    ):
        cfg = read_config(f'configs/{name}.py')
        assert cfg.auto_scale_lr.base_batch_size == processes * cfg.train_dataloader.batch_size, name
