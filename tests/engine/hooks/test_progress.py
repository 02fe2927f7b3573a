"""Progress is shown as bars on a terminal and as lines elsewhere; the log ends with a summary and
the next commands.
"""

import io
import logging
import re
import sys
from itertools import count
from types import SimpleNamespace
from unittest import mock

import pytest

from mmgcvit.engine.hooks import progress
from mmgcvit.engine.hooks.progress import (
    ProgressHook,
    SummaryHook,
    format_duration,
    open_progress,
)

from ..random_training import EPOCHS, ITERATIONS, make_config, run

TWO_EPOCHS = EPOCHS | {'max_epochs': 2}
# Loop, whether there are validations, whether predictions can be drawn, and a pattern of what is
# printed.
RUNS = {
    'epochs': (
        TWO_EPOCHS,
        True,
        True,
        """\
log: .*
epoch 1 of 2: loss [0-9.]+
epoch 1, scores: toy/mAP 0.5
epoch 2 of 2: loss [0-9.]+
epoch 2, scores: toy/mAP 0.25
finished
best toy_mAP 0.5: 'my run/best_toy_mAP_epoch_1.pth'
next:
  mmgcvit predict 'my run' YOUR_PICTURES
  mmgcvit mistakes 'my run'
  mmgcvit plot 'my run'
  mmgcvit publish 'my run'
  mmgcvit export 'my run' model.onnx
""",
    ),
    'iterations': (
        ITERATIONS | {'max_iters': 4, 'val_interval': 4},
        True,
        False,
        """\
log: .*
iteration 4, scores: toy/mAP 0.5
finished
best toy_mAP 0.5: 'my run/best_toy_mAP_iter_4.pth'
next:
  mmgcvit test 'my run'
""",
    ),
    'no validation': (
        TWO_EPOCHS,
        False,
        False,
        """\
log: .*
epoch 1 of 2: loss [0-9.]+
epoch 2 of 2: loss [0-9.]+
finished
last checkpoint: 'my run/epoch_2.pth'
""",
    ),
}


@pytest.mark.parametrize(
    ('case', 'is_terminal'), [*((case, False) for case in RUNS), ('epochs', True)]
)
def test_each_epoch_and_validation_prints_a_line_and_the_end_says_what_comes_next(
    case, is_terminal, tmp_path, monkeypatch
):
    """A terminal has bars, too."""
    loop, has_validation, can_draw, printed = RUNS[case]
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, 'can_draw_predictions', lambda cfg: can_draw)
    options = {'saves': 4 if case == 'iterations' else None, 'log_level': 'INFO'}
    if has_validation:
        powers = count(1)  # of scores that fall: 0.5, 0.25, ...
        options['get_score'] = lambda: 1 / 2 ** next(powers)
    cfg = make_config(tmp_path / 'my run', loop, **options)
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal
    hook = ProgressHook(stream)
    run(cfg, hook, SummaryHook())
    hook.bars.stop()
    shown = re.sub(r'\x1b\[[\d;?]*\w', '', stream.getvalue())  # without colours
    assert [text in shown for text in ('training, loss', 'validating', '100%')] == [is_terminal] * 3
    assert [task.description.partition(',')[0] for task in hook.bars.tasks] == ['training']
    if not is_terminal:
        assert re.fullmatch(printed, shown)


def test_only_rank_0_shows_progress_and_other_output_is_discarded(capsys, monkeypatch):
    for rank in '01':
        monkeypatch.setenv('RANK', rank)
        with open_progress(progress=True) as hook:
            sys.stdout.write('of the log')
            if hook is not None:
                hook.console.print('of the hook')
    assert capsys.readouterr().out == 'of the hook\n'


def test_the_remaining_time_is_logged_once_when_it_is_known(tmp_path, monkeypatch):
    """Not after the first iteration, which is slow."""
    times = count(0, 8)  # in seconds; each iteration asks once or twice
    monkeypatch.setattr(progress, 'time', SimpleNamespace(monotonic=lambda: next(times)))
    runner = mock.Mock(epoch=0, max_epochs=2)
    runner.message_hub.runtime_info = {}
    hook = SummaryHook()
    hook.before_train(runner)
    for _ in range(4):
        hook.after_train_iter(runner)  # mmengine does not know it yet
    assert not runner.logger.info.called
    runner.message_hub.runtime_info['eta'] = 5400.0
    for _ in range(3):
        hook.after_train_iter(runner)
    ((message,), options) = runner.logger.info.call_args
    assert message == 'about 90 minutes of training are left, and the validations'
    assert options == {'extra': progress.SHOWN}
    assert runner.logger.info.call_count == 1


def test_a_run_that_is_done_says_how_to_train_longer():
    runner = mock.Mock(max_epochs=2)
    for runner.epoch in (1, 2, 3):
        SummaryHook().before_train(runner)
        assert runner.logger.warning.called == (runner.epoch >= 2)
    message = runner.logger.warning.call_args.args[0]
    assert message.startswith('this run has already trained 3 of 2 epochs. To train longer, raise')


def test_warnings_and_marked_lines_are_printed_above_the_bars():
    stream = io.StringIO()
    logger = logging.Logger('shown')
    logger.addHandler(progress.ConsoleHandler(ProgressHook(stream).console))
    logger.info('of the log')
    logger.info('marked', extra=progress.SHOWN)
    logger.warning('warned')
    logger.warning('"FileClient" will be deprecated')
    assert stream.getvalue() == 'marked\nwarned\n'


def test_scores_without_objects_are_not_printed():
    stream = io.StringIO()
    hook = ProgressHook(stream)
    runner = mock.Mock(test_dataloader=[0])
    hook.before_test_epoch(runner)
    hook.after_test_epoch(runner, {'coco/bbox_mAP': 0.25, 'coco/bbox_mAP_s': -1, 'text': 'x'})
    assert stream.getvalue() == 'scores: coco/bbox_mAP 0.25\n'


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [
        (0, '1 minute'),
        (95, '2 minutes'),
        (119.4 * 60, '119 minutes'),
        (120 * 60, '2 hours'),
        (3.6 * 3600, '4 hours'),
    ],
)
def test_durations_are_minutes_up_to_two_hours(seconds, text):
    assert format_duration(seconds) == text
