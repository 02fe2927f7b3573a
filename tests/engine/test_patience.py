"""With --patience N, a run stops after N validations without a better score, however often it is interrupted."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook

from mmgcvit.checkpoints.reading import read_checkpoint
from mmgcvit.errors import UserError

from .drawing import make_config, make_evaluation, run

ITERATIONS = 4  # per epoch, and per validation


class Scripted(BaseMetric):
    """A metric with a given score at each validation."""

    position = 0

    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {'toy/mAP': self.scores[self.position]}


class PositionHook(Hook):
    """Count the validations, also those before a run was resumed. A config copies the metric, so its class counts."""

    def before_val_epoch(self, runner):
        Scripted.position = runner.iter // ITERATIONS - 1


def find_end(scores, patience):
    best, best_at = float('-inf'), 0
    for number, score in enumerate(scores, start=1):
        if score > best:
            best, best_at = score, number
        elif number - best_at == patience:
            return number
    return len(scores)


@pytest.mark.parametrize('by_epoch', [True, False])
@settings(max_examples=8, deadline=None)
@given(st.data())
def test_a_run_stops_after_patience_validations_without_a_better_score(by_epoch, data):
    scores = data.draw(st.lists(st.integers(0, 3).map(float), min_size=1, max_size=6))
    patience = data.draw(st.integers(1, 3))
    end = find_end(scores, patience)
    stops = sorted(data.draw(st.sets(st.integers(1, end * ITERATIONS - 1), max_size=2)))
    loop = {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': len(scores)}
    if not by_epoch:
        length = len(scores) * ITERATIONS
        loop = {'type': 'mmgcvit.IterBasedTrainLoop', 'max_iters': length, 'val_interval': ITERATIONS}
    with TemporaryDirectory() as work_dir:
        for number, stop in enumerate([*stops, None]):
            cfg = make_config(work_dir, loop, resume=number > 0, **make_evaluation(Scripted(scores)))
            cfg.default_hooks.checkpoint.update({'save_best': 'toy/mAP', 'rule': 'greater'})
            cfg.custom_hooks = [{'type': 'mmgcvit.PatienceHook', 'patience': patience}]
            run(cfg, stop, PositionHook())
        last = read_checkpoint(Path(work_dir, 'last_checkpoint').read_text().strip())
        assert last['meta']['iter'] == end * ITERATIONS


def test_patience_needs_a_best_checkpoint_and_validation(tmp_path):
    cfg = make_config(tmp_path, {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 1})
    cfg.custom_hooks = [{'type': 'mmgcvit.PatienceHook', 'patience': 1}]
    with pytest.raises(UserError, match=r'Set default_hooks.checkpoint.save_best .*, or remove --patience'):
        run(cfg)
