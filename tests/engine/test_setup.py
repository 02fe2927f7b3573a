"""Options of train and test change the config or are rejected; the work dir, data and batch size
are checked. A run formats its config once.

Modules: `mmgcvit/engine/setup.py`, `mmgcvit/engine/ranks.py`, `mmgcvit/engine/data.py`.
"""

import os
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import VISBACKENDS
from mmseg.engine import SegVisualizationHook

from mmgcvit.commands.configs import apply_options
from mmgcvit.engine import ranks
from mmgcvit.engine.data import check_data, find_problems, hash_data_state
from mmgcvit.engine.ranks import join_process_group
from mmgcvit.engine.setup import check_machine, complete_loader, open_runner
from mmgcvit.engine.test import enable_tta
from mmgcvit.engine.train import add_trackers, check_batch_size, enable_amp
from mmgcvit.errors import UserError
from mmgcvit.host.config import TRACKERS, enter_scope, read_config
from mmgcvit.ops import requirements

from ..datasets.checks.made import config as config_with
from ..datasets.checks.made import cut, write_coco
from .random_training import EPOCHS, make_config, read_last_state


def test_amp_needs_a_gpu_and_keeps_the_loss_scale_of_the_config(monkeypatch):
    cfg = Config({'optim_wrapper': {'type': OptimWrapper, 'loss_scale': 512.0}})
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(UserError, match=r'needs a GPU, and torch finds none\. Train without'):
        enable_amp(cfg)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    enable_amp(cfg)
    assert cfg.optim_wrapper == {'type': 'mmgcvit.AutoPrecisionOptimWrapper', 'loss_scale': 512.0}
    cfg.optim_wrapper.type = 'ApexOptimWrapper'
    with pytest.raises(UserError, match='ApexOptimWrapper'):
        enable_amp(cfg)


def test_trackers_are_added_once_to_those_of_the_config(monkeypatch):
    monkeypatch.setattr(requirements, 'find_spec', lambda name: name)
    backends = [{'type': 'LocalVisBackend'}]
    cfg = Config({'visualizer': {'type': 'DetLocalVisualizer', 'vis_backends': backends}})
    add_trackers(cfg, ['tensorboard'])
    add_trackers(cfg, TRACKERS)
    assert cfg.visualizer.type == 'DetLocalVisualizer'
    types = [backend.type for backend in cfg.visualizer.vis_backends]
    assert types == ['LocalVisBackend', *TRACKERS.values()]
    assert {*TRACKERS.values()} < {*VISBACKENDS.module_dict}
    monkeypatch.setattr(requirements, 'find_spec', lambda name: name not in TRACKERS or None)
    with pytest.raises(UserError, match='pip install tensorboard wandb'):
        add_trackers(Config({}), ['tensorboard', 'wandb'])


def test_options_that_the_config_does_not_support_are_rejected():
    cfg = Config({'auto_scale_lr': {'enable': True}})
    with pytest.raises(UserError, match=r'auto_scale_lr: .* no .*\.base_batch_size'):
        check_batch_size(cfg, cfg, 1)
    with pytest.raises(
        UserError, match=r'\(tta\): the config has no tta_model and no tta_pipeline'
    ):
        enable_tta(cfg)
    cfg.test_cfg = {'side': 64}
    with pytest.raises(UserError, match=r'cannot be used with tiles .* Use one of them'):
        enable_tta(cfg)


@pytest.mark.parametrize(
    ('launcher', 'variable'), [('pytorch', 'LOCAL_RANK'), *ranks.LOCAL_RANK_VARIABLES.items()]
)
def test_a_launcher_without_gpus_is_rejected_with_the_script_to_use(
    launcher, variable, monkeypatch
):
    """The process with local rank 0 prints the error, while the others wait to be ended."""
    monkeypatch.setattr('torch.cuda.is_available', lambda: False)
    monkeypatch.setattr('time.sleep', slept := mock.Mock())
    monkeypatch.delenv('RANK', raising=False)
    for rank in '03':
        monkeypatch.setenv('LOCAL_RANK', '0')
        monkeypatch.setenv(variable, rank)
        message = rf'launcher={launcher}: torch finds no GPU\. .*tools/dist_train\.sh'
        with pytest.raises(UserError, match=message), ranks.run_rank(launcher, 0):
            join_process_group(Config({'launcher': launcher}))
        assert (os.environ['LOCAL_RANK'], slept.called) == (rank, rank == '3')


def test_gpus_round_inputs_of_products_and_do_not_use_cudnns_attention(monkeypatch):
    """TF32 is several times faster. cuDNN's attention takes up to a second for each new size."""
    monkeypatch.setattr('mmgcvit.engine.setup.check_gpus', lambda: None)
    monkeypatch.setattr('mmgcvit.engine.setup.disable_cudnn_attention', disabled := mock.Mock())
    check_machine('cpu')
    assert torch.backends.cuda.matmul.allow_tf32
    assert disabled.called


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_launcher_chooses_the_gpus(launcher, monkeypatch):
    monkeypatch.setattr('mmgcvit.engine.setup.check_gpus', lambda: None)
    monkeypatch.setattr(
        'mmgcvit.engine.setup.resolve_device', lambda device: torch.device('cuda', 1)
    )
    with pytest.raises(UserError, match='choose GPUs with CUDA_VISIBLE_DEVICES, not with device='):
        check_machine('cuda:1', launcher)


def test_a_runner_of_another_type_is_rejected(tmp_path):
    cfg = make_config(tmp_path, EPOCHS)
    cfg.runner_type = 'FlexibleRunner'
    with (
        pytest.raises(UserError, match=r'runner_type=FlexibleRunner is not supported\. Remove it'),
        open_runner(cfg, None, hooks=[]),
    ):
        pass


@pytest.mark.parametrize('has_gpu', [True, False])
def test_loaders_have_a_worker_a_cpu_and_pinned_memory_for_gpus(has_gpu, monkeypatch):
    monkeypatch.setattr('torch.cuda.is_available', lambda: has_gpu)
    loader = Config({'num_workers': 8, 'persistent_workers': True})
    complete_loader(loader, num_cpus=3)
    assert loader.num_workers == 3
    assert loader.get('pin_memory', False) == has_gpu
    chosen = Config({'num_workers': 1, 'pin_memory': False})
    complete_loader(chosen, num_cpus=3)
    assert (chosen.num_workers, chosen.pin_memory) == (1, False)
    without = Config({'prefetch_factor': 2, 'persistent_workers': True, 'timeout': 9})
    complete_loader(without, num_cpus=3)
    assert {*without.to_dict()} - {'pin_memory'} == {'num_workers'}


def test_options_override_the_config_and_the_default_work_dir_has_its_name(tmp_path, monkeypatch):
    path = tmp_path / 'some_config.py'
    path.write_text('env_cfg = dict(b=1, c=2)')
    monkeypatch.chdir(tmp_path)
    recipe = read_config(path)
    assert apply_options(recipe).work_dir == 'work_dirs/some_config'
    cfg = apply_options(recipe, ['env_cfg.b=3'], 'here')
    assert (cfg.work_dir, cfg.env_cfg.b, cfg.env_cfg.c) == ('here', 3, 2)


def test_data_that_would_stop_the_run_is_rejected_by_file_name(tmp_path):
    cfg = config_with(write_coco(tmp_path))
    image = tmp_path / 'images' / 'b.jpg'
    check = partial(check_data, cfg, ['train_dataloader'])
    cut(image)
    with pytest.raises(UserError, match=r'images/b\.jpg'):
        check()
    image.unlink()
    with pytest.raises(UserError, match=r'images/b\.jpg'):
        check()
    # With no images to open, only annotation files and folders are looked for.
    cfg.data_checks = {'images': 0}
    check()


def test_a_resumed_run_checks_annotations_again_only_if_their_file_has_changed(tmp_path, capsys):
    dataset = write_coco(tmp_path)
    cfg = config_with(dataset)
    image = tmp_path / 'images' / 'b.jpg'
    cfg.work_dir = str(tmp_path / 'run')
    check = partial(check_data, cfg, ['train_dataloader'])
    check()
    image.unlink()
    cfg.resume = True
    check()
    assert 'not checked again' in capsys.readouterr().err
    path = Path(dataset['data_root'], dataset['ann_file'])
    os.utime(path, ns=(0, 0))
    with pytest.raises(UserError, match=r'images/b\.jpg'):
        check()


@pytest.mark.parametrize(
    ('name', 'value'),
    [
        ('model', {'type': 'MaskRCNN', 'roi_head': {'bbox_head': {'num_classes': 7}}}),
        ('train_evaluator', {'type': 'CocoMetric'}),
        ('train_dataloader.dataset.filter_cfg', {'min_size': 1}),
    ],
)
def test_a_resumed_run_checks_the_data_again_for_another_model_or_dataset(name, value, tmp_path):
    cfg = config_with(write_coco(tmp_path))
    enter_scope(cfg)
    before = hash_data_state(cfg, ['train_dataloader'])
    assert before == hash_data_state(cfg, ['train_dataloader'])
    cfg.merge_from_dict({name: value})
    assert hash_data_state(cfg, ['train_dataloader']) not in (before, None)


def test_mirrored_classes_are_named_before_a_training_unless_data_checks_say_no(
    tmp_path, monkeypatch
):
    monkeypatch.setattr('mmgcvit.engine.data.find_mirroring', lambda cfg: ['mirrored'])
    cfg = config_with(write_coco(tmp_path))
    enter_scope(cfg)
    assert 'mirrored' in find_problems(cfg, ['train_dataloader'])
    assert find_problems(cfg, ['test_dataloader']) == []
    cfg.data_checks = {'mirroring': 0}
    assert find_problems(cfg, ['train_dataloader']) == []


# The base batch size, images per process and accumulation steps.
PLAIN = (16, 2, 1)
SUM = (512, 64, 2)


def make_batches(base, images, steps):
    """Return a config with these batches."""
    return Config(
        {
            'auto_scale_lr': {'base_batch_size': base},
            'train_dataloader': {'batch_size': images},
            'optim_wrapper': {'accumulative_counts': steps},
        }
    )


@pytest.mark.parametrize(
    ('settings', 'recipe', 'processes'),
    [
        (PLAIN, PLAIN, 16),
        ((16, 2, 4), PLAIN, 8),
        (SUM, SUM, 4),
        ((8, 1, 2), PLAIN, 4),  # base batch size and images divided by the steps
        (PLAIN, PLAIN, 8),
        ((512, 256, 1), SUM, 4),
    ],
)
def test_the_lr_follows_the_effective_batch_size(settings, recipe, processes):
    """mmengine divides the batch size without accumulation by base_batch_size."""
    (_, images, steps), (base, _, recipe_steps) = settings, recipe
    recipe_size = base * recipe_steps
    size = processes * images * steps
    cfg = make_batches(*settings)
    warning = check_batch_size(cfg, make_batches(*recipe), processes)
    text = f'effective batch size of {recipe_size}; this run has {size} ({processes} x '
    assert (warning is None) == (size == recipe_size)
    assert warning is None or text in warning
    assert processes * images / cfg.auto_scale_lr.base_batch_size == size / recipe_size
    cfg.auto_scale_lr.enable = True
    assert not check_batch_size(cfg, cfg, processes), 'the work dir has this config'


def test_a_config_is_formatted_once_for_all_checkpoints(tmp_path):
    text = Config.pretty_text.fget
    with (
        mock.patch.object(Config, 'pretty_text', property(formatted := mock.Mock(wraps=text))),
        open_runner(make_config(tmp_path, EPOCHS), None, hooks=[]) as runner,
    ):
        runner.train()
    assert formatted.call_count == 1
    saved = read_last_state(tmp_path, ['meta'])['meta']
    assert (saved['iter'], saved['cfg']) == (12, Config.pretty_text.fget(runner.cfg))


def test_a_training_is_not_warned_of_the_hook_that_draws_for_show_dir(tmp_path, recwarn):
    cfg = make_config(tmp_path, EPOCHS)
    cfg.default_hooks.visualization = {'type': SegVisualizationHook}
    with open_runner(cfg, None, hooks=[]) as runner:
        assert any(isinstance(hook, SegVisualizationHook) for hook in runner.hooks)
    assert not [each for each in recwarn if 'draw' in str(each.message)]


def test_loaders_with_workers_have_a_timeout_if_the_config_sets_none(tmp_path):
    """Without one, a run waits for ever for a worker that hangs. torch rejects one without
    workers.
    """
    cfg = make_config(tmp_path, EPOCHS, workers=1, get_score=lambda epoch: 0.5)
    cfg.val_dataloader |= {'num_workers': 1, 'timeout': 5}
    with open_runner(cfg, None, hooks=[]) as runner:
        assert runner.cfg.train_dataloader.timeout == 600
        assert runner.cfg.val_dataloader.timeout == 5
    cfg = make_config(tmp_path / 'other', EPOCHS, workers=0)
    with open_runner(cfg, None, hooks=[]) as runner:
        assert 'timeout' not in runner.cfg.train_dataloader


def test_the_library_of_linear_layers_is_a_setting_and_logged(tmp_path):
    cfg = make_config(tmp_path, EPOCHS)
    cfg.env_cfg = {'linear_kernel': 'onednn'}
    cfg.log_level = 'INFO'
    with (
        mock.patch('mmgcvit.engine.runner.speed_up') as faster,
        open_runner(cfg, None, hooks=[]) as runner,
    ):
        log = Path(runner.log_dir, f'{runner.timestamp}.log')
    assert faster.call_args.args == (runner.model, 'onednn')
    line = 'Linear layers are computed by onednn (processor: '
    chooses = torch.backends.mkl.is_available() and not torch.cuda.is_available()
    assert (line in log.read_text()) == chooses
    cfg.env_cfg.linear_kernel = 'oneDNN'
    cfg.work_dir = str(tmp_path / 'other')
    with (
        pytest.raises(UserError, match='Choose one of mkl, onednn'),
        open_runner(cfg, None, hooks=[]),
    ):
        pass
