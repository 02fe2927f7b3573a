"""What testing gives besides scores is asked of each host in its own words."""

import pytest
from mmengine.config import Config
from mmengine.evaluator import DumpResults

from mmgcvit.commands.outputs import draw_predictions, dump_metric, enable_tta
from mmgcvit.errors import UserError

DRAWING = {'default_hooks': {'visualization': {'type': 'VisualizationHook'}}, 'visualizer': {'type': 'Visualizer'}}
PIPELINE = [{'type': 'LoadImageFromFile'}]


def config(**entries):
    return Config({**DRAWING, **entries})


def test_detections_are_drawn_into_a_whole_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = config(default_scope='mmdet')
    draw_predictions(cfg, 'shown')
    assert cfg.default_hooks.visualization == {
        'type': 'VisualizationHook',
        'draw': True,
        'test_out_dir': str(tmp_path / 'shown'),
    }


def test_segments_are_drawn_by_the_visualizer(tmp_path):
    cfg = config(default_scope='mmseg')
    draw_predictions(cfg, str(tmp_path))
    assert cfg.default_hooks.visualization.draw is True
    assert cfg.visualizer.save_dir == str(tmp_path)


def test_classes_are_drawn_on_every_image(tmp_path):
    cfg = config(default_scope='mmpretrain')
    draw_predictions(cfg, str(tmp_path))
    hook = cfg.default_hooks.visualization
    assert (hook.enable, hook.out_dir, hook.interval) == (True, str(tmp_path), 1)


@pytest.mark.parametrize('missing', ['default_hooks', 'visualizer'])
def test_a_config_that_cannot_draw_is_answered(missing):
    cfg = Config({name: value for name, value in DRAWING.items() if name != missing})
    with pytest.raises(UserError, match='--show-dir: the config has no default_hooks'):
        draw_predictions(cfg, 'shown')


@pytest.mark.parametrize(('scope', 'name'), [('mmdet', 'DumpDetResults'), ('mmseg', 'DumpResults')])
@pytest.mark.parametrize('ending', ['pkl', 'pickle'])
def test_predictions_are_dumped_by_the_hosts_metric(scope, name, ending, tmp_path):
    metric = dump_metric(config(default_scope=scope), str(tmp_path / f'out.{ending}'))
    assert isinstance(metric, DumpResults)
    assert type(metric).__name__ == name
    assert metric.out_file_path == str(tmp_path / f'out.{ending}')


def test_other_endings_than_a_pickles_are_refused():
    with pytest.raises(UserError, match=r'--out scores\.json: predictions are pickled'):
        dump_metric(config(), 'scores.json')


def test_views_are_merged_around_the_model():
    cfg = Config(
        {
            'model': {'type': 'Detector'},
            'tta_model': {'type': 'Merging'},
            'tta_pipeline': PIPELINE,
            'test_dataloader': {
                'dataset': {'type': 'RepeatDataset', 'dataset': {'type': 'CocoDataset', 'pipeline': []}}
            },
        }
    )
    enable_tta(cfg)
    assert cfg.model == {'type': 'Merging', 'module': {'type': 'Detector'}}
    assert cfg.test_dataloader.dataset.dataset.pipeline == PIPELINE


@pytest.mark.parametrize(
    ('there', 'words'),
    [
        ({}, 'tta_model and no tta_pipeline'),
        ({'tta_model': {'type': 'Merging'}}, 'tta_pipeline'),
        ({'tta_pipeline': PIPELINE}, 'tta_model'),
    ],
)
def test_a_config_without_views_is_answered(there, words):
    with pytest.raises(UserError, match=f'--tta: the config has no {words}$'):
        enable_tta(Config(there))
