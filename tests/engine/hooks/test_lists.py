"""The hooks of commands are called in the order of their priorities and lists, after the config's."""

import io

import pytest

from mmgcvit.engine.hooks.lists import list_test_hooks, list_train_hooks
from mmgcvit.engine.hooks.progress import ProgressHook
from mmgcvit.engine.setup import open_runner
from mmgcvit.own.hooks import ShowDirHook

from ..random_training import EPOCHS, make_config

CONFIG = ['IterTimerHook', 'DistSamplerSeedHook', 'EMAHook']
COMMON = ['CudnnBenchmarkHook', 'EncodeMasksHook', 'LoaderCheckHook']
SAVING = ['LoggerHook', 'ParamSchedulerHook', 'AtomicCheckpointHook']
TRAIN = ['RuntimeInfoHook', 'SignalHook', 'StartHook', *CONFIG, *COMMON, *SAVING]
TEST = ['RuntimeInfoHook', 'SignalHook', *CONFIG, *COMMON]
LAST = ['ExactResumeHook', 'NewScheduleHook', 'SummaryHook']


@pytest.mark.parametrize(
    ('hooks', 'expected'),
    [
        (list_train_hooks(None, None), [*TRAIN, *LAST]),
        (
            list_train_hooks(ProgressHook(io.StringIO()), 3),
            [*TRAIN, 'ProgressHook', *LAST, 'PatienceHook'],
        ),
        (list_test_hooks(None), [*TEST, *SAVING, 'ExactResumeHook']),
        (
            list_test_hooks(ProgressHook(io.StringIO()), [ShowDirHook('folder')]),
            [*TEST, 'ShowDirHook', *SAVING, 'ProgressHook', 'ExactResumeHook'],
        ),
    ],
    ids=['training', 'training with options', 'test', 'test with options'],
)
def test_the_order_of_hooks(hooks, expected, tmp_path):
    with open_runner(make_config(tmp_path, EPOCHS), None, hooks) as runner:
        assert [type(hook).__name__ for hook in runner.hooks] == expected
