"""Progress is shown as bars on a terminal and as lines elsewhere; the log ends with a summary."""

import io
import logging
import re
import sys
from itertools import count
from unittest import mock

import pytest

from mmgcvit.engine.hooks import progress
from mmgcvit.engine.hooks.progress import ProgressHook, open_progress
from mmgcvit.engine.hooks.summary import SummaryHook

from ..random_training import EPOCHS, ITERATIONS, make_config, run

TWO_EPOCHS = EPOCHS | {'max_epochs': 2}
# Loop, whether there are validations, and a pattern of what is printed
RUNS = {
    'epochs': (
        TWO_EPOCHS,
        True,
        """\
log: .*
epoch 1 of 2: loss [0-9.]+
epoch 1, scores: toy/mAP 0.5
epoch 2 of 2: loss [0-9.]+
epoch 2, scores: toy/mAP 0.25
finished
best toy_mAP 0.5: 'my run/best_toy_mAP_epoch_1.pth'
""",
    ),
    'iterations': (
        ITERATIONS | {'max_iters': 4, 'val_interval': 4},
        True,
        """\
log: .*
iteration 4, scores: toy/mAP 0.5
finished
best toy_mAP 0.5: 'my run/best_toy_mAP_iter_4.pth'
""",
    ),
    'no validation': (
        TWO_EPOCHS,
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
def test_each_epoch_and_validation_prints_a_line_and_the_end_a_summary(
    case, is_terminal, tmp_path, monkeypatch
):
    """A terminal has bars, too."""
    loop, has_validation, printed = RUNS[case]
    monkeypatch.setenv('TERM', 'xterm')
    monkeypatch.chdir(tmp_path)
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
