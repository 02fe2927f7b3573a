"""What the options of testing do to a config, and which it cannot do."""

import pytest
from mmengine.config import Config
from mmengine.evaluator import DumpResults

from mmgcvit.engine.testing import draw_predictions, dump_metric, enable_tta
from mmgcvit.errors import UserError

DRAWING = {'default_hooks': {'visualization': {'type': 'VisualizationHook'}}, 'visualizer': {'type': 'Visualizer'}}


def test_options_that_the_config_cannot_do_are_refused():
    for change, config, words in (
        (lambda cfg: draw_predictions(cfg, 'x'), {'visualizer': {}}, '--show-dir: the config has no default_hooks'),
        (lambda cfg: draw_predictions(cfg, 'x'), {'default_hooks': DRAWING['default_hooks']}, 'no visualizer'),
        (enable_tta, {}, '--tta: the config has no tta_model and no tta_pipeline$'),
        (enable_tta, {'tta_model': {}}, '--tta: the config has no tta_pipeline$'),
        (enable_tta, {'tta_pipeline': []}, '--tta: the config has no tta_model$'),
    ):
        with pytest.raises(UserError, match=words):
            change(Config(config))


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


def test_views_are_merged_around_the_model():
    pipeline = [{'type': 'LoadImageFromFile'}]
    wrapped = {'type': 'RepeatDataset', 'dataset': {'type': 'CocoDataset', 'pipeline': []}}
    cfg = Config({'model': {'type': 'Detector'}, 'tta_model': {'type': 'Merging'}, 'tta_pipeline': pipeline})
    cfg.test_dataloader = {'dataset': wrapped}
    enable_tta(cfg)
    assert cfg.model == {'type': 'Merging', 'module': {'type': 'Detector'}}
    assert cfg.test_dataloader.dataset.dataset.pipeline == pipeline
