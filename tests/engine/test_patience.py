"""With --patience N, a run stops after N validations without a better score, however often it is interrupted."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.hooks import Hook

from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.errors import UserError

from .drawing import GivenScore, make_config, make_evaluation, run

ITERATIONS = 4  # per epoch, and per validation


class PositionHook(Hook):
    """Count the validations, also those before a run was resumed."""

    def before_val_epoch(self, runner):
        self.position = runner.iter // ITERATIONS - 1


def find_end(scores, patience, intervals, stops):
    """Return after which score a run ends whose validations have another interval from each stop on."""
    best, since_best = float('-inf'), 0
    for number, score in enumerate(scores, start=1):
        interval = intervals[sum(stop <= number * ITERATIONS for stop in stops)]
        if number % interval and number < len(scores):
            continue
        best, since_best = (score, 0) if score > best else (best, since_best + 1)
        if since_best == patience:
            return number
    return len(scores)


@pytest.mark.parametrize('by_epoch', [True, False])
@settings(max_examples=12, deadline=None)
@given(st.data())
def test_a_run_stops_after_patience_validations_without_a_better_score(by_epoch, data):
    """The interval of validations may change when the run is resumed."""
    scores = data.draw(st.lists(st.integers(0, 3).map(float), min_size=1, max_size=6))
    patience = data.draw(st.integers(1, 3))
    stops = sorted(data.draw(st.sets(st.integers(1, len(scores) * ITERATIONS - 1), max_size=2)))
    intervals = data.draw(st.lists(st.integers(1, 3), min_size=3, max_size=3))
    end = find_end(scores, patience, intervals, stops)
    hook = PositionHook()
    metric = GivenScore(lambda: scores[hook.position])
    with TemporaryDirectory() as work_dir:
        for number, stop in enumerate([*(stop for stop in stops if stop <= end * ITERATIONS), None]):
            length, interval = len(scores), intervals[number]
            loop = {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': length, 'val_interval': interval}
            if not by_epoch:
                length, interval = length * ITERATIONS, interval * ITERATIONS
                loop = {'type': 'mmgcvit.IterBasedTrainLoop', 'max_iters': length, 'val_interval': interval}
            cfg = make_config(work_dir, loop, resume=number > 0, **make_evaluation(metric))
            cfg.default_hooks.checkpoint.update({'save_best': 'toy/mAP', 'rule': 'greater'})
            cfg.custom_hooks = [{'type': 'mmgcvit.PatienceHook', 'patience': patience}]
            run(cfg, stop, hook)
        last = read_checkpoint(Path(work_dir, 'last_checkpoint').read_text().strip())
        assert last['meta']['iter'] == end * ITERATIONS


def test_patience_needs_a_best_checkpoint_and_validation(tmp_path):
    cfg = make_config(tmp_path, {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 1})
    cfg.custom_hooks = [{'type': 'mmgcvit.PatienceHook', 'patience': 1}]
    with pytest.raises(UserError, match=r'Set default_hooks.checkpoint.save_best .*, or remove --patience'):
        run(cfg)
