"""Progress is a bar on a terminal and plain lines elsewhere; both are told of iterations, losses and scores."""

import io
import sys

import pytest
from mmengine.evaluator import BaseMetric

from mmgcvit.engine.hooks import progress
from mmgcvit.engine.hooks.progress import ProgressHook, open_progress

from .drawing import config, run, validating


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self):
        return True


def test_bars_show_the_loop_the_note_and_what_stays(monkeypatch):
    monkeypatch.setattr(progress, 'SECONDS_BETWEEN_REFRESHES', -1)
    monkeypatch.setenv('TERM', 'xterm')
    bars = ProgressHook(terminal := Terminal())
    bars.begin('training', 10, done=2)
    bars.advance(4, 'loss 0.5')
    bars.line('epoch 1 of 2: loss 0.4')
    bars.begin('validating', 3)
    bars.advance(1)
    bars.end()
    assert [task.description for task in bars.bars.tasks] == ['training']
    bars.end()
    for words in ('training', '4/10', 'loss 0.5', 'epoch 1 of 2: loss 0.4', 'validating', '1/3'):
        assert words in terminal.getvalue()
    assert not bars.bars.live.is_started


class Score(BaseMetric):
    """Always the same."""

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
def test_without_a_terminal_epochs_and_validations_are_a_line_each(loop, epoch_lines, tmp_path):
    hook = ProgressHook(written := io.StringIO())
    run(config(tmp_path, loop=loop, **validating(Score())), hook=hook)
    log, *epochs, scores = written.getvalue().splitlines()
    assert log.startswith('log: ')
    assert [line.partition(' loss ')[0] for line in epochs] == ['epoch 1 of 1:'] * epoch_lines
    assert scores == 'scores: mIoU 50'
    assert hook.loops == []


def test_progress_takes_the_screen_in_the_first_process_only(capsys, monkeypatch):
    for rank in '01':
        monkeypatch.setenv('RANK', rank)
        with open_progress(progress=True) as hook:
            sys.stdout.write('of the log')
            if hook is not None:
                hook.line('of the hook')
    assert capsys.readouterr().out == 'of the hook\n'
