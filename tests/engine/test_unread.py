"""Settings that nothing reads are errors before a run starts, with the name that was meant."""

import pytest
import torch
from mmengine.config import Config
from mmseg.evaluation import IoUMetric

from mmgcvit.engine.unread import IOU_SCORES, check_settings, list_scores
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
        (
            'mask_rcnn_gcvit_t',
            'model.test_cfg.rcnn.score_thrr',
            r'^model\.test_cfg\.rcnn\.score_thrr: nothing reads it; did you mean score_thr\?$',
        ),
        ('mask_rcnn_gcvit_t', 'model.test_cfg.rpn.nms_pree', 'did you mean nms_pre?'),
        ('upernet_gcvit_t', 'model.test_cfg.strides', ''),
        ('mask_rcnn_gcvit_t', 'env_cfg.cudnn_benchmrk', 'did you mean cudnn_benchmark?'),
        ('upernet_gcvit_t', 'env_cfg.mp_cfg.opencv_num_thread', 'mean opencv_num_threads?'),
    ],
)
def test_a_misspelt_key_is_an_error_with_the_closest_name(name, option, message):
    cfg = read(name)
    override_settings(cfg, {option: 1}, 'config.py')
    if not message:  # a word that mmseg's code has is not known to be wrong
        check_settings(cfg)
        return
    with pytest.raises(UserError, match=message if message[0] == '^' else None) as raised:
        check_settings(cfg)
    assert message[0] == '^' or message in str(raised.value)


@pytest.mark.parametrize(
    ('name', 'score', 'words'),
    [
        ('mask_rcnn_gcvit_t', 'coco/bbox_map', 'did you mean coco/bbox_mAP? There are coco/'),
        ('dino_gcvit_t_12e', 'coco/segm_mAP', 'did you mean'),  # it has no masks
        ('upernet_gcvit_t', 'mIOUs', 'There are aAcc, mIoU, mAcc'),
        ('gcvit_t_in1k', 'top1', 'There are accuracy/top1, accuracy/top5'),
        ('mask_rcnn_gcvit_t', ['coco/bbox_mAP', 'coco/AP'], "save_best='coco/AP'"),
        ('mask_rcnn_gcvit_t', True, 'save_best=True: expected the name of a score'),
    ],
)
def test_a_best_checkpoint_by_a_score_that_no_metric_has_is_an_error(name, score, words):
    cfg = read(name)
    cfg.default_hooks.checkpoint.save_best = score
    with pytest.raises(UserError) as raised:
        check_settings(cfg)
    assert words in str(raised.value)


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


@pytest.mark.parametrize('score', ['auto', None, 'coco/segm_mAP_50'])
def test_a_score_that_a_metric_has_is_accepted(score):
    cfg = read('mask_rcnn_gcvit_t')
    cfg.default_hooks.checkpoint.save_best = score
    check_settings(cfg)


@pytest.mark.parametrize('settings', [{'env_cfg': 'x'}, {'env_cfg': {'mp_cfg': 'fork'}}])
def test_settings_of_the_environment_are_dicts(settings):
    with pytest.raises(UserError, match='expected a dict of'):
        check_settings(Config(settings))


def test_the_loss_of_validation_images_is_a_score():
    assert list_scores(read('custom_cls')) == ['accuracy/top1', 'val_loss']


@pytest.mark.parametrize(
    'metric',
    [
        {'type': 'MyMetric'},
        {'type': 'CocoMetric', 'metric': 'proposal_fast'},
        {'type': 'CocoMetric', 'metric': 3},  # its own check rejects it
        {'type': 'CocoMetric', 'classwise': True},  # a score for each class
        {'type': 'Accuracy', 'thrs': [0.1, 0.5]},  # a score for each threshold
    ],
)
def test_scores_of_unknown_metrics_are_not_checked(metric):
    hook = {'checkpoint': {'save_best': 'anything'}}
    check_settings(Config({'val_evaluator': metric, 'val_dataloader': {}, 'default_hooks': hook}))
    assert list_scores(Config({'val_evaluator': metric})) is None


def test_scores_without_validation_images_are_not_checked():
    """A config that trains only may name any."""
    hook = {'checkpoint': {'save_best': 'anything'}}
    check_settings(Config({'val_evaluator': {'type': 'CocoMetric'}, 'default_hooks': hook}))


@pytest.mark.parametrize('kind', IOU_SCORES)
def test_the_scores_of_segmentors_are_mmsegs(kind):
    areas = [torch.ones(2)] * 4
    found = IoUMetric.total_area_to_metrics(*areas, metrics=[kind])
    expected = ['aAcc', *(f'm{name}' for name in found if name != 'aAcc')]
    assert sorted(IOU_SCORES[kind]) == sorted(expected)
