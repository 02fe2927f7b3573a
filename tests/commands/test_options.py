"""What the tools share: options, precision, outputs, operators."""

import argparse

import pytest
import torch
from mmengine.config import Config

from mmgcvit.commands.options import add_common_options, load_config
from mmgcvit.commands.outputs import draw_predictions, dump_metric, enable_tta
from mmgcvit.commands.precision import enable_amp
from mmgcvit.errors import UserError


def arguments(config, **changes):
    options = {'config': str(config), 'work_dir': None, 'cfg_options': None, 'launcher': 'none', 'local_rank': 0}
    return argparse.Namespace(**options | changes)


@pytest.fixture
def with_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)


@pytest.fixture
def without_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)


class TestOptions:
    @pytest.fixture
    def config(self, tmp_path):
        path = tmp_path / 'some_config.py'
        path.write_text('env_cfg = dict(b=1, c=2)')
        return path

    def test_the_work_dir_is_named_after_the_config(self, config):
        assert load_config(arguments(config)).work_dir == 'work_dirs/some_config'

    def test_the_command_line_overrides_the_config(self, config):
        cfg = load_config(arguments(config, work_dir='here', cfg_options={'env_cfg.b': 3}))
        assert (cfg.work_dir, cfg.env_cfg.b, cfg.env_cfg.c) == ('here', 3, 2)

    def test_a_missing_config_is_named(self):
        with pytest.raises(UserError, match=r'no config nowhere\.py'):
            load_config(arguments('nowhere.py'))


class TestAmpOption:
    @pytest.mark.usefixtures('without_gpu')
    def test_without_a_gpu_it_is_refused(self):
        with pytest.raises(UserError, match=r'needs a GPU.*leave the option out'):
            enable_amp(Config({'optim_wrapper': {'type': 'OptimWrapper'}}))

    @pytest.mark.usefixtures('with_gpu')
    def test_it_turns_mixed_precision_on_and_keeps_what_the_config_says(self):
        cfg = Config({'optim_wrapper': {'optimizer': {'type': 'AdamW'}, 'loss_scale': 512.0}})
        enable_amp(cfg)
        assert cfg.optim_wrapper.type == 'mmgcvit.AutoPrecisionOptimWrapper'
        assert cfg.optim_wrapper.loss_scale == 512.0

    @pytest.mark.usefixtures('with_gpu')
    def test_another_wrapper_is_not_replaced(self):
        with pytest.raises(UserError, match='ApexOptimWrapper'):
            enable_amp(Config({'optim_wrapper': {'type': 'ApexOptimWrapper'}}))


class TestOutputs:
    def test_pictures_go_to_the_very_folder_that_was_named(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        hook = {'default_hooks': {'visualization': {'type': 'x'}}, 'visualizer': {}}
        expected = str(tmp_path / 'here')
        det, seg, cls = (Config({**hook, 'default_scope': scope}) for scope in ('mmdet', 'mmseg', 'mmpretrain'))
        for cfg in (det, seg, cls):
            draw_predictions(cfg, 'here')
        assert det.default_hooks.visualization.test_out_dir == expected
        assert seg.visualizer.save_dir == expected
        assert cls.default_hooks.visualization.out_dir == expected

    def test_without_a_hook_nothing_can_be_drawn(self):
        with pytest.raises(UserError, match='visualization'):
            draw_predictions(Config({'default_hooks': {}}), 'here')

    def test_predictions_go_to_pickle_files_only(self):
        with pytest.raises(UserError, match=r'o\.json.*\.pkl'):
            dump_metric(Config({}), 'o.json')

    def test_tta_needs_both_parts(self):
        with pytest.raises(UserError, match='no tta_pipeline'):
            enable_tta(Config({'tta_model': {}}))


@pytest.fixture
def parser():
    parser = argparse.ArgumentParser()
    add_common_options(parser)
    return parser


def test_what_is_not_asked_for_is_left_to_the_config_and_the_machine(parser):
    expected = {'work_dir': None, 'cfg_options': None, 'launcher': 'none', 'device': 'auto', 'local_rank': 0}
    assert vars(parser.parse_args([])) == expected


@pytest.mark.parametrize('option', ['--local_rank', '--local-rank'])
def test_the_rank_of_old_launchers_is_taken_in_both_spellings(option, parser):
    assert parser.parse_args([f'{option}=3']).local_rank == 3


@pytest.mark.parametrize('given', [('--launcher', 'torch'), ('--device', 'cuda:1')])
def test_other_launchers_and_devices_are_refused(given, parser, capsys):
    with pytest.raises(UserError):
        parser.parse_args(given)
    assert 'invalid choice' in capsys.readouterr().err
