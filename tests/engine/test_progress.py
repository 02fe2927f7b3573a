"""Progress is shown as bars on a terminal, and as lines for epochs and validations elsewhere."""

import io
import sys

import pytest
from mmengine.evaluator import BaseMetric

from mmgcvit.engine.hooks import progress
from mmgcvit.engine.hooks.progress import ProgressHook, open_progress

from .drawing import make_config, make_evaluation, run


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self):
        return True


def test_bars_show_the_loop_its_progress_and_the_note_and_only_the_outermost_stays(monkeypatch):
    monkeypatch.setattr(progress, 'REFRESH_INTERVAL_S', -1)
    monkeypatch.setenv('TERM', 'xterm')
    bars = ProgressHook(terminal := Terminal())
    bars.begin('training', 10, done=2)
    bars.advance(4, 'loss 0.5')
    bars.print_line('epoch 1 of 2: loss 0.4')
    bars.begin('validating', 3)
    bars.advance(1)
    bars.end()
    assert [task.description for task in bars.bars.tasks] == ['training']
    bars.end()
    for text in ('training', '4/10', 'loss 0.5', 'epoch 1 of 2: loss 0.4', 'validating', '1/3'):
        assert text in terminal.getvalue()
    assert not bars.bars.live.is_started


class Score(BaseMetric):
    """A metric with a constant score."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return {'mIoU': 50.0}


@pytest.mark.parametrize(
    ('loop', 'epoch_lines'),
    [
        ({'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 1}, 1),
        ({'type': 'mmgcvit.IterBasedTrainLoop', 'max_iters': 4, 'val_interval': 4}, 0),
    ],
)
def test_without_a_terminal_each_epoch_and_validation_prints_a_line(loop, epoch_lines, tmp_path):
    hook = ProgressHook(stream := io.StringIO())
    run(make_config(tmp_path, loop=loop, **make_evaluation(Score())), hook=hook)
    log, *epochs, scores = stream.getvalue().splitlines()
    assert log.startswith('log: ')
    assert [line.partition(' loss ')[0] for line in epochs] == ['epoch 1 of 1:'] * epoch_lines
    assert scores == 'scores: mIoU 50'
    assert hook.tasks == []


def test_only_rank_0_shows_progress_and_other_output_is_discarded(capsys, monkeypatch):
    for rank in '01':
        monkeypatch.setenv('RANK', rank)
        with open_progress(progress=True) as hook:
            sys.stdout.write('of the log')
            if hook is not None:
                hook.print_line('of the hook')
    assert capsys.readouterr().out == 'of the hook\n'
