"""With --patience N, a run stops after N validations without a better score, however often it is
interrupted.
"""

import math
from copy import deepcopy
from types import SimpleNamespace
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.hooks import Hook
from mmengine.registry import DATASETS

from mmgcvit.engine.hooks.patience import PATIENCE, PatienceHook
from mmgcvit.errors import UserError

from ...toy import last
from ..random_training import EPOCHS, ITERATIONS, RandomImages, SignalHook, make_config, run

LENGTH = 4  # iterations per epoch, and per validation


class PositionHook(Hook):
    """Count the validations, also those before a run was resumed."""

    def before_val_epoch(self, runner):
        self.position = runner.iter // LENGTH - 1


def find_end(scores, patience, intervals, stops):
    """Return after which score a run ends whose validations have another interval from each stop
    on.

    Also return the last one of the best scores, or None if there is none. NaN and -1 are no scores.
    """
    best = -0.5
    best_number = None
    since_best = 0
    for number, score in enumerate(scores, start=1):
        interval = intervals[sum(stop <= number * LENGTH for stop in stops)]
        if number % interval and number < len(scores):
            continue
        if not math.isfinite(score):
            score = -1
        if score >= best:
            best_number = number
        since_best = 0 if score > best else since_best + 1
        best = max(best, score)
        if since_best == patience:
            return number, best_number
    return len(scores), best_number


@pytest.mark.slow
@pytest.mark.parametrize(
    ('loop', 'length', 'unit'), [(EPOCHS, 'max_epochs', 1), (ITERATIONS, 'max_iters', LENGTH)]
)
@settings(max_examples=12)
@given(
    scores=st.lists(
        st.sampled_from([0.0, 1.0, 2.0, -1.0, math.nan, math.inf]), min_size=1, max_size=6
    ),
    patience=st.integers(1, 3),
    stops=st.sets(st.integers(1, 6 * LENGTH), max_size=2),
    intervals=st.lists(st.integers(1, 3), min_size=3, max_size=3),
)
def test_a_run_keeps_the_last_best_score_and_stops_after_patience_validations_without_a_better_one(
    loop, length, unit, scores, patience, stops, intervals, tmp_path_factory
):
    """The interval of validations may change when the run is resumed."""
    stops = sorted(stops)
    end, best = find_end(scores, patience, intervals, stops)
    hook = PositionHook()
    stops = [stop for stop in stops if stop <= end * LENGTH]
    work_dir = tmp_path_factory.mktemp('run')
    for interval, stop in zip(intervals, [*stops, None], strict=False):
        cfg = make_config(
            work_dir,
            loop | {length: len(scores) * unit, 'val_interval': interval * unit},
            get_score=lambda: scores[hook.position],
            resume=any(work_dir.iterdir()),
            custom_hooks=[{'type': 'mmgcvit.PatienceHook', 'patience': patience}],
        )
        run(cfg, hook, SignalHook(stop))
    assert last(work_dir)['meta']['iter'] == end * LENGTH
    expected = [f'best_toy_mAP_iter_{best * LENGTH}.pth'] if best else []
    assert [path.name for path in work_dir.glob('best_*')] == expected


@DATASETS.register_module()
class ImagesOfOneClass(RandomImages):
    def get_data_info(self, index):
        return {'gt_label': 0}


def test_no_checkpoint_is_the_best_one_on_images_of_one_class(tmp_path):
    cfg = make_config(tmp_path, EPOCHS, get_score=lambda: 1.0, log_level='WARNING')
    cfg.val_dataloader.dataset = {'type': 'ImagesOfOneClass'}
    run(deepcopy(cfg))
    assert not [*tmp_path.glob('best_*')]
    logs = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert logs.count('the validation images have labels of at most one class, so') == 1
    cfg.custom_hooks = [{'type': 'mmgcvit.PatienceHook', 'patience': 1}]
    with pytest.raises(UserError, match='with objects, or images of several classes'):
        run(cfg)


@pytest.mark.parametrize(('position', 'count'), [(1, 2), (2, 1)])
def test_a_resumed_run_counts_the_validation_at_its_position_once(position, count):
    """The checkpoint was saved before it, or again after it, and the validation is not repeated."""
    info = {'best_score': 0.5, PATIENCE: {'position': position, 'scores': [0.5], 'count': 1}}
    runner = mock.Mock(
        epoch=2,
        max_epochs=9,
        hooks=[mock.Mock(save_best='auto')],
        message_hub=SimpleNamespace(runtime_info=info, update_info=info.__setitem__),
        train_loop=mock.Mock(
            val_begin=1, dynamic_milestones=[0], dynamic_intervals=[1], stop_training=False
        ),
    )
    PatienceHook(patience=2).before_train(runner)
    assert info[PATIENCE] == {'position': 2, 'scores': [0.5], 'count': count}
    assert runner.train_loop.stop_training == (count == 2)
