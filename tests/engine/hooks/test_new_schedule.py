"""A resumed run has the LR and the schedule of its config, as if it had always had them."""

from copy import deepcopy
from unittest import mock

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import OptimWrapperDict
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from mmgcvit.checkpoints.grids import SETTINGS
from mmgcvit.engine.hooks.exact_resume import get_plain_settings
from mmgcvit.engine.hooks.new_schedule import NewScheduleHook, step_schedulers

from ...toy import last
from ..random_training import EPOCHS, SignalHook, make_config, run

SEEDED = {'randomness': {'seed': 5, 'diff_rank_seed': True}}
SESSIONS = st.tuples(st.integers(2, 5), st.integers(3, 5), st.sampled_from([0.01, 0.02]))


@pytest.mark.slow
@settings(max_examples=8)
@given(
    before=SESSIONS, after=SESSIONS, stop=st.integers(1, 5), order=st.sampled_from([1, -1, None])
)
# Only the batch size changes; the last iteration of an epoch whose end the checkpoint does not count;
# a warm-up that ends within the second epoch and stands behind the decay
@example(before=(4, 3, 0.01), after=(3, 3, 0.01), stop=1, order=1)
@example(before=(4, 3, 0.01), after=(4, 3, 0.02), stop=2, order=1)
@example(before=(4, 3, 0.01), after=(4, 3, 0.02), stop=3, order=-1)
def test_a_resumed_run_has_the_lrs_and_schedule_of_its_config(
    before, after, stop, order, tmp_path_factory
):
    """They equal those of a run that had its batch size, length and LR from the start."""
    folder = tmp_path_factory.mktemp('runs')

    def train(name, images, length, lr, *hooks, resume=False):
        warm_up = {'type': 'LinearLR', 'start_factor': 0.1, 'by_epoch': False, 'end': 3}
        decay = {'type': 'CosineAnnealingLR', 'T_max': length, 'end': length, 'eta_min': 1e-3}
        options = {'images': images, 'resume': resume}
        options['param_scheduler'] = [warm_up, decay][::order] if order else None
        cfg = make_config(folder / name, EPOCHS | {'max_epochs': length}, **options, **SEEDED)
        cfg.train_dataloader.drop_last = True  # batch normalisation needs two images
        cfg.optim_wrapper.optimizer.lr = lr
        run(cfg, *hooks)
        state = last(folder / name)
        return state.get('param_schedulers'), [x['lr'] for x in state['optimizer']['param_groups']]

    whole = train('whole', *after)
    train('resumed', *before, SignalHook(stop))
    assert train('resumed', *after, NewScheduleHook(), resume=True) == whole


OPTIMIZER = {'type': 'AdamW', 'lr': 0.1, 'weight_decay': 0.1}
EARLIER = Config({'optim_wrapper': {'optimizer': OPTIMIZER}, 'train_cfg': {'max_epochs': 2}})


def resume_with(changes, **options):
    """Let NewScheduleHook compare a checkpoint of EARLIER with a config. Return the hook, the
    checkpoint and the runner.
    """
    cfg = Config({**EARLIER.to_dict(), 'resume': True, 'load_from': 'x.pth', **changes})
    runner = mock.Mock(cfg=cfg, train_loop=None, **{'param_schedulers': [], **options})
    if 'optim_wrapper' not in options:
        runner.optim_wrapper.param_groups = [{'lr': 0.3, 'initial_lr': 0.3, 'weight_decay': 0.3}]
    checkpoint = {
        'meta': {SETTINGS: get_plain_settings(EARLIER)},
        'optimizer': {'param_groups': [{'lr': 0.2, 'initial_lr': 0.2, 'weight_decay': 0.2}]},
        'param_schedulers': [{'last_step': 1}],
    }
    hook = NewScheduleHook()
    hook.after_load_checkpoint(runner, checkpoint)
    return hook, checkpoint, runner


@pytest.mark.parametrize(
    ('changes', 'is_new'),
    [
        ({'train_cfg': {'max_epochs': 3}}, True),
        ({'train_cfg': {'max_iters': 3}}, True),
        ({'param_scheduler': [{'type': 'StepLR', 'step_size': 1}]}, True),
        ({'optim_wrapper': {'optimizer': {**OPTIMIZER, 'lr': 0.2}}}, True),
        ({'auto_scale_lr': {'enable': True, 'base_batch_size': 16}}, True),
        ({'optim_wrapper': {'optimizer': {**OPTIMIZER, 'weight_decay': 0.2}}}, False),
        ({'train_cfg': {'max_epochs': 2, 'val_interval': 2}}, False),
        ({}, False),
    ],
)
def test_settings_that_decide_the_schedule_give_a_new_one(changes, is_new):
    """Then the LR is that of the optimizer, whose other settings are the checkpoint's."""
    hook, checkpoint, _ = resume_with(changes)
    lr = 0.3 if is_new else 0.2
    assert hook.is_changed == is_new
    assert ('param_schedulers' in checkpoint) != is_new
    assert checkpoint['optimizer']['param_groups'] == [
        {'lr': lr, 'initial_lr': lr, 'weight_decay': 0.2}
    ]


SCHEDULERS = {
    'LinearLR': {'start_factor': 0.1},
    'CosineAnnealingLR': {'eta_min': 1e-3},
    'PolyLR': {'power': 0.9, 'eta_min': 1e-4},
    'MultiStepLR': {'milestones': [2, 5], 'gamma': 0.1},
    'StepLR': {'step_size': 2, 'gamma': 0.3},
    'ExponentialLR': {'gamma': 0.9},
}


@st.composite
def schedules(draw):
    """Draw the settings of schedulers, whose ranges may overlap."""
    schedule = []
    for name in draw(st.lists(st.sampled_from([*SCHEDULERS]), min_size=1, max_size=3)):
        begin = draw(st.integers(0, 5))
        end = begin + draw(st.integers(2, 12))
        unit = draw(st.sampled_from(['epoch', 'iteration', 'converted']))
        settings = {'type': name, 'begin': begin, 'end': end, 'by_epoch': unit != 'iteration'}
        if unit == 'converted':
            settings |= {'convert_to_iter_based': True, 'epoch_length': 3}
        schedule.append(settings | SCHEDULERS[name])
    return schedule


def build_schedulers(schedule):
    parameters = [{'params': [nn.Parameter(torch.zeros(1))], 'lr': lr} for lr in (0.1, 0.003)]
    optimizer = torch.optim.SGD(parameters)
    build = PARAM_SCHEDULERS.build
    return [build(each, default_args={'optimizer': optimizer}) for each in deepcopy(schedule)]


def read_schedule(schedulers):
    return [
        (x.state_dict(), [group['lr'] for group in x.optimizer.param_groups]) for x in schedulers
    ]


@pytest.mark.filterwarnings('ignore:Detected call of')
@given(
    schedule=schedules(),
    num_iterations=st.integers(0, 40),
    epoch_length=st.integers(1, 7),
    is_by_epoch=st.booleans(),
    is_epoch_ended=st.booleans(),
)
def test_new_schedulers_are_stepped_as_in_a_training(
    schedule, num_iterations, epoch_length, is_by_epoch, is_epoch_ended
):
    """From any position, also after the last iteration of an epoch, before mmengine counts it."""
    num_epochs, rest = divmod(num_iterations, epoch_length)
    if not is_by_epoch:
        num_epochs = 0
    elif num_epochs and not rest and not is_epoch_ended:
        num_epochs -= 1
    trained = build_schedulers(schedule)
    hook = ParamSchedulerHook()
    runner = mock.Mock(param_schedulers=trained)
    for iteration in range(1, num_iterations + 1):
        hook.after_train_iter(runner, 0)
        if iteration % epoch_length == 0 and iteration // epoch_length <= num_epochs:
            hook.after_train_epoch(runner)
    stepped = build_schedulers(schedule)
    step_schedulers(stepped, num_iterations, num_epochs, epoch_length)
    assert read_schedule(stepped) == read_schedule(trained)


@pytest.mark.parametrize(
    'options',
    [
        {'optim_wrapper': mock.Mock(spec=OptimWrapperDict)},
        {'param_schedulers': [mock.Mock(need_val_args=True)]},
    ],
    ids=['several optimizers', 'scores'],
)
def test_a_schedule_that_cannot_be_recomputed_goes_on_and_a_line_says_so(options):
    hook, checkpoint, runner = resume_with({'train_cfg': {'max_epochs': 3}}, **options)
    assert (hook.is_changed, 'param_schedulers' in checkpoint) == (False, True)
    (message,) = runner.logger.warning.call_args.args
    assert message.startswith('the LR schedule goes on as in the checkpoint')
