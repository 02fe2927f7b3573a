"""What a rehearsal must notice although every process ended well."""

import pytest
from mmengine.config import Config

from mmgcvit.experiments.dry_run.checks import CheckError, check_resumed, check_tested, check_training

TRAINED = {
    'start': 0,
    'end': 2,
    'start_state': [5.0, 0.0],
    'end_state': [5.5, 1.0],
    'losses': [{'loss': 2.0}, {'loss': 1.0}],
    'num_weights': 10,
    'num_moved': 10,
    'without_gradient': [],
    'unmoved_parts': [],
}
RESUMED = {**TRAINED, 'start': 2, 'start_state': [5.5, 1.0], 'val': {'mIoU': 0.5}, 'val_predictions': 7.0}
TESTED = {'test': {'mIoU': 0.5}, 'test_predictions': 7.0}
LOADER = {'dataset': {}}


def config(**settings):
    evaluator = {'type': 'IoUMetric'}
    return Config(
        {
            'val_cfg': {},
            'val_dataloader': LOADER,
            'test_dataloader': LOADER,
            'val_evaluator': evaluator,
            'test_evaluator': evaluator,
            **settings,
        }
    )


def test_a_run_that_did_all_is_right():
    assert 'all had gradients' in check_training(config(), TRAINED)
    assert 'from iteration 2' in check_resumed(config(), TRAINED, RESUMED)
    assert 'as in validation' in check_tested(config(), RESUMED, TESTED)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'losses': [{'loss': 2.0}]}, '1 iterations were trained; expected 2'),
        ({'losses': [{'loss': 2.0}, {'loss_mask': float('nan')}]}, 'no finite numbers: loss_mask'),
        ({'losses': [{'loss': 2.0}, {}]}, 'none reported'),
        ({'num_moved': 0}, 'did not change the weights of the model'),
        ({'unmoved_parts': ['neck']}, 'did not change the weights of neck'),
        ({'without_gradient': ['head.a']}, 'had no gradient: head.a. .*find_unused_parameters'),
    ],
)
def test_training_that_went_wrong_is_named(change, message):
    with pytest.raises(CheckError, match=message):
        check_training(config(), {**TRAINED, **change})


def test_weights_without_gradient_are_fine_where_the_config_expects_them():
    cfg = config(find_unused_parameters=True)
    assert '1 had no gradient' in check_training(cfg, {**TRAINED, 'without_gradient': ['head.a']})


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'start': 0}, 'resumed at iteration 0; the checkpoint is of iteration 2'),
        ({'start_state': [5.4, 1.0]}, 'resumed weights is another'),
        ({'start_state': [5.5, 0.0]}, 'resumed optimizer state is another'),
        ({'val': {}}, 'validation gave no score'),
    ],
)
def test_resuming_that_went_wrong_is_named(change, message):
    with pytest.raises(CheckError, match=message):
        check_resumed(config(), TRAINED, {**RESUMED, **change})


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'test': {}}, 'test gave no score'),
        ({'test': {'mIoU': 0.6}}, 'mIoU 0.5 in validation, 0.6 in the test'),
        ({'test_predictions': 8.0}, 'predicts otherwise'),
    ],
)
def test_a_test_that_contradicts_validation_is_named(change, message):
    with pytest.raises(CheckError, match=message):
        check_tested(config(), RESUMED, {**TESTED, **change})


def test_a_test_of_other_data_is_not_compared():
    cfg = config(test_dataloader={'dataset': {'type': 'Another'}})
    assert 'not compared' in check_tested(cfg, RESUMED, {**TESTED, 'test': {'mIoU': 0.1}})


def test_a_test_without_labels_needs_no_score():
    cfg = config(test_evaluator={'type': 'CocoMetric', 'format_only': True})
    assert 'no score' in check_tested(cfg, RESUMED, {'test': {}})
