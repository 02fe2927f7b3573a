"""Progress is shown as bars on a terminal and as lines elsewhere; the log ends with a summary and
the next commands.
"""

import io
import re
import sys
from itertools import count

import pytest

from mmgcvit.engine.hooks import progress
from mmgcvit.engine.hooks.progress import ProgressHook, SummaryHook, open_progress

from .random_training import GivenScore, make_config, make_evaluation, run


def make_falling(score):
    """Return the settings of validations whose scores fall: half of ``score``, a quarter ..."""
    powers = count(1)
    return make_evaluation(GivenScore(lambda: score / 2 ** next(powers)))


@pytest.mark.parametrize(
    ('loop', 'epoch_lines'),
    [
        ({'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 1}, 1),
        ({'type': 'mmgcvit.IterBasedTrainLoop', 'max_iters': 4, 'val_interval': 4}, 0),
    ],
)
def test_each_epoch_and_validation_prints_a_line_and_a_terminal_has_bars(
    loop, epoch_lines, tmp_path, monkeypatch
):
    monkeypatch.setenv('TERM', 'xterm')
    for is_terminal in (False, True):
        stream = io.StringIO()
        stream.isatty = lambda answer=is_terminal: answer
        hook = ProgressHook(stream)
        run(make_config(tmp_path / str(is_terminal), loop=loop, **make_falling(1.0)), hook=hook)
        hook.bars.stop()
        shown = re.sub(r'\x1b\[[\d;]*m', '', stream.getvalue())  # without colours
        has_bars = [text in shown for text in ('training, loss', 'validating', '100%')]
        assert has_bars == [is_terminal] * 3
        assert [task.description.partition(',')[0] for task in hook.bars.tasks] == ['training']
        if not is_terminal:
            log, *epochs, scores = shown.splitlines()
            assert log.startswith('log: ')
            assert len(epochs) == epoch_lines
            assert all(line.startswith('epoch 1 of 1: loss ') for line in epochs)
            assert re.fullmatch(r'(epoch|iteration) \d+, scores: toy/mAP 0.5', scores)


def test_only_rank_0_shows_progress_and_other_output_is_discarded(capsys, monkeypatch):
    for rank in '01':
        monkeypatch.setenv('RANK', rank)
        with open_progress(progress=True) as hook:
            sys.stdout.write('of the log')
            if hook is not None:
                hook.console.print('of the hook')
    assert capsys.readouterr().out == 'of the hook\n'


@pytest.mark.parametrize('score', [1.0, None])
def test_checkpoint_and_next_commands_are_logged(score, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, 'can_draw_predictions', lambda cfg: score is not None)
    work_dir, loop = tmp_path / 'my run', {'type': 'mmgcvit.EpochBasedTrainLoop', 'max_epochs': 2}
    if score is None:
        cfg = make_config(work_dir, loop, saves=None, log_level='INFO')
        expected = ["last checkpoint: 'my run/epoch_2.pth'"]
    else:
        cfg = make_config(work_dir, loop, saves=None, log_level='INFO', **make_falling(score))
        cfg.default_hooks.checkpoint.update({'save_best': 'toy/mAP', 'rule': 'greater'})
        expected = [
            "best toy_mAP 0.5: 'my run/best_toy_mAP_epoch_1.pth'",
            'next:',
            "  mmgcvit predict 'my run' YOUR_PICTURES",
            "  mmgcvit mistakes 'my run'",
            "  mmgcvit plot 'my run'",
            "  mmgcvit publish 'my run'",
            "  mmgcvit export 'my run' model.onnx",
        ]
    run(cfg, hook=SummaryHook())
    (log,) = work_dir.glob('*/*.log')
    text = log.read_text()
    assert text.partition(' - finished\n')[2].splitlines() == expected
