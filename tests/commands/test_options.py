"""Options that commands share, and those of training and testing: what they do to a config, and what they refuse."""

import argparse
import errno
import os

import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import DumpResults

from mmgcvit.commands import test as testing
from mmgcvit.commands import train as training
from mmgcvit.commands.options import add_common_options, check_at_least, load_config, make_work_dir
from mmgcvit.commands.test import draw_predictions, dump_metric, enable_tta
from mmgcvit.commands.train import allow_overwriting, enable_amp, log_to, scale_learning_rate
from mmgcvit.errors import UserError

DRAWING = {'default_hooks': {'visualization': {'type': 'VisualizationHook'}}, 'visualizer': {'type': 'Visualizer'}}


def arguments(config, **changes):
    options = {'config': str(config), 'work_dir': None, 'cfg_options': None, 'launcher': 'none', 'local_rank': 0}
    return argparse.Namespace(**options | changes)


def test_the_command_line_overrides_the_config_and_the_work_dir_is_named_after_it(tmp_path):
    path = tmp_path / 'some_config.py'
    path.write_text('env_cfg = dict(b=1, c=2)')
    assert load_config(arguments(path)).work_dir == 'work_dirs/some_config'
    cfg = load_config(arguments(path, work_dir='here', cfg_options={'env_cfg.b': 3}))
    assert (cfg.work_dir, cfg.env_cfg.b, cfg.env_cfg.c) == ('here', 3, 2)


def test_common_options_leave_to_the_config_and_the_machine_what_is_not_asked_for(capsys):
    parser = argparse.ArgumentParser()
    add_common_options(parser)
    expected = {'work_dir': None, 'cfg_options': None, 'launcher': 'none', 'device': 'auto', 'local_rank': 0}
    assert vars(parser.parse_args([])) == {**expected, 'trust_checkpoint': False}
    for option in ('--local_rank', '--local-rank'):
        assert parser.parse_args([f'{option}=3']).local_rank == 3
    for given in (('--launcher', 'torch'), ('--device', 'cuda:1')):
        with pytest.raises(SystemExit):
            parser.parse_args(given)
        assert 'invalid choice' in capsys.readouterr().err


def test_numbers_that_mean_nothing_are_refused():
    given = argparse.Namespace(number=1, batch_sizes=[4, 0], none=None)
    check_at_least(given, number=1, none=1)
    with pytest.raises(UserError, match='--batch-sizes 0: expected at least 1'):
        check_at_least(given, batch_sizes=1)


def test_a_work_dir_is_made_with_those_above_it_or_refused(tmp_path, monkeypatch):
    for _ in range(2):
        make_work_dir(str(tmp_path / 'a' / 'b'))
    assert (tmp_path / 'a' / 'b').is_dir()
    (tmp_path / 'file').touch()
    for place in ('file', 'file/run'):
        with pytest.raises(UserError, match=rf'the work dir {tmp_path}/{place} \(--work-dir\) cannot be written'):
            make_work_dir(str(tmp_path / place))

    def refuse(dir):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    # Whoever runs the tests may write anywhere, so the system's answer is given.
    monkeypatch.setattr('tempfile.TemporaryDirectory', refuse)
    with pytest.raises(UserError, match='Read-only file system'):
        make_work_dir(str(tmp_path / 'a'))


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
        (lambda cfg: draw_predictions(cfg, 'x'), {'visualizer': {}}, '--show-dir: the config has no default_hooks'),
        (lambda cfg: draw_predictions(cfg, 'x'), {'default_hooks': DRAWING['default_hooks']}, 'no visualizer'),
        (enable_tta, {}, '--tta: the config has no tta_model and no tta_pipeline$'),
        (enable_tta, {'tta_model': {}}, '--tta: the config has no tta_pipeline$'),
        (enable_tta, {'tta_pipeline': []}, '--tta: the config has no tta_model$'),
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


def test_pictures_of_a_test_go_to_the_very_folder_that_was_named(tmp_path, monkeypatch):
    """Each host is asked in its own words."""
    monkeypatch.chdir(tmp_path)
    cfgs = {scope: Config({**DRAWING, 'default_scope': scope}) for scope in ('mmdet', 'mmseg', 'mmpretrain')}
    for cfg in cfgs.values():
        draw_predictions(cfg, 'shown')
    hooks = {scope: dict(cfg.default_hooks.visualization, type=0) for scope, cfg in cfgs.items()}
    shown = str(tmp_path / 'shown')
    assert hooks == {
        'mmdet': {'type': 0, 'draw': True, 'test_out_dir': shown},
        'mmseg': {'type': 0, 'draw': True},
        'mmpretrain': {'type': 0, 'enable': True, 'out_dir': shown, 'interval': 1},
    }
    assert cfgs['mmseg'].visualizer.save_dir == shown


def test_predictions_are_dumped_by_the_hosts_metric_into_a_pickle(tmp_path):
    for scope, name in (('mmdet', 'DumpDetResults'), ('mmseg', 'DumpResults')):
        metric = dump_metric(Config({'default_scope': scope}), str(tmp_path / 'out.pkl'))
        assert isinstance(metric, DumpResults)
        assert (type(metric).__name__, metric.out_file_path) == (name, str(tmp_path / 'out.pkl'))
    given = {'test_data': None, 'show_dir': None, 'tta': False, 'device': 'auto', 'out': 'scores.json'}
    with pytest.raises(UserError, match=r'--out scores\.json: predictions are pickled'):
        testing.prepare(arguments('configs/demo/gcvit_digits_cls.py', **given))


def test_views_are_merged_around_the_model():
    pipeline = [{'type': 'LoadImageFromFile'}]
    wrapped = {'type': 'RepeatDataset', 'dataset': {'type': 'CocoDataset', 'pipeline': []}}
    cfg = Config({'model': {'type': 'Detector'}, 'tta_model': {'type': 'Merging'}, 'tta_pipeline': pipeline})
    cfg.test_dataloader = {'dataset': wrapped}
    enable_tta(cfg)
    assert cfg.model == {'type': 'Merging', 'module': {'type': 'Detector'}}
    assert cfg.test_dataloader.dataset.dataset.pipeline == pipeline
