"""What the options of testing do to a config, and which it cannot do."""

import pytest
from mmengine.config import Config

from mmgcvit.engine.test import draw_predictions, enable_tta
from mmgcvit.errors import UserError


def show(cfg):
    draw_predictions(cfg, 'x')


def test_options_that_the_config_cannot_do_are_refused():
    for change, config, words in (
        (enable_tta, {}, '--tta: the config has no tta_model and no tta_pipeline$'),
        (enable_tta, {'tta_model': {'type': 'Merging'}, 'tta_pipeline': None}, 'the config has no tta_pipeline$'),
        (enable_tta, {'tta_pipeline': [{'type': 'Resize'}]}, 'the config has no tta_model$'),
        (show, {'default_scope': 'mmpose', 'model': {'type': 'Pose'}}, '--show-dir: nothing here draws Pose of mmpose'),
        (
            show,
            {'default_scope': 'mmdet', 'model': {'type': 'Byte', 'tracker': {}}},
            'nothing here draws Byte of mmdet',
        ),
    ):
        with pytest.raises(UserError, match=words):
            change(Config(config))


def test_pictures_of_a_test_are_drawn_whatever_the_config_has_and_by_its_threshold():
    hook = {'type': 'mmgcvit.ValVisualizationHook', 'test_out_dir': 'x', 'score_thr': 0.5}
    for config, hooks in (
        ({'default_hooks': {'visualization': {'score_thr': 0.5}}}, [hook]),
        ({'custom_hooks': [{'type': 'EMAHook'}]}, [{'type': 'EMAHook'}, {**hook, 'score_thr': 0.3}]),
    ):
        cfg = Config({**config, 'default_scope': 'mmseg', 'model': {}})
        draw_predictions(cfg, 'x')
        assert cfg.custom_hooks == hooks
