"""Settings that have no effect are errors before a run starts, with the name that was meant."""

import re

import pytest
from mmengine.config import Config

from mmgcvit.engine.unread import check_settings
from mmgcvit.errors import UserError
from mmgcvit.host.config import override_settings, read_config

from ..configs.models import ENTRIES, read
from ..configs.templates import TEMPLATES
from ..conftest import ROOT

# Those of other tasks need packages that are not installed.
NAMES = [name for name in [*ENTRIES, *TEMPLATES] if not name.startswith('other_tasks/')]


@pytest.mark.parametrize('name', NAMES)
def test_the_configs_of_this_project_have_only_settings_that_are_read(name):
    check_settings(read(name))


@pytest.mark.parametrize(
    ('name', 'option', 'message'),
    [
        ('mask_rcnn_gcvit_t', 'env_cfg.cudnn_benchmrk', 'did you mean cudnn_benchmark?'),
        ('upernet_gcvit_t', 'env_cfg.mp_cfg.opencv_num_thread', 'mean opencv_num_threads?'),
    ],
)
def test_a_misspelt_key_of_the_environment_is_an_error_with_the_closest_name(name, option, message):
    cfg = read(name)
    override_settings(cfg, {option: 1}, 'config.py')
    with pytest.raises(UserError, match=re.escape(message)):
        check_settings(cfg)


def test_a_pipeline_of_imagenet_beside_another_image_size_is_an_error(tmp_path):
    """That of docs/templates.md, which names the size, is accepted."""
    head = f"""_base_ = {str(ROOT / 'configs' / 'custom_cls.py')!r}
image_size = 384
train_dataloader = dict(dataset=dict(pipeline=[_base_.load, CROP, _base_.flip, _base_.pack]))
test_pipeline = [_base_.load, _base_.test_resize, dict(type='CenterCrop', crop_size=384), _base_.pack]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
"""
    config = tmp_path / 'own.py'
    config.write_text(head.replace('CROP', 'dict(_base_.crop, scale=image_size)'))
    check_settings(read_config(config))
    config.write_text(head.replace('CROP', '_base_.crop'))
    with pytest.raises(
        UserError, match='384 has no effect in train_dataloader, whose RandomResizedC'
    ):
        check_settings(read_config(config))


@pytest.mark.parametrize('settings', [{'env_cfg': 'x'}, {'env_cfg': {'mp_cfg': 'fork'}}])
def test_settings_of_the_environment_are_dicts(settings):
    with pytest.raises(UserError, match='expected a dict of'):
        check_settings(Config(settings))
