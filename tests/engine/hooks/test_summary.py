"""The log says how long a training takes."""

from itertools import count
from types import SimpleNamespace
from unittest import mock

import pytest

from mmgcvit.engine.hooks import summary
from mmgcvit.engine.hooks.progress import SHOWN
from mmgcvit.engine.hooks.summary import SummaryHook, format_duration


def test_the_remaining_time_is_logged_once_when_it_is_known(tmp_path, monkeypatch):
    """Not after the first iteration, which is slow."""
    times = count(0, 8)  # in seconds; each iteration asks once or twice
    monkeypatch.setattr(summary, 'time', SimpleNamespace(monotonic=lambda: next(times)))
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
    assert options == {'extra': SHOWN}
    assert runner.logger.info.call_count == 1


def test_a_run_that_is_done_says_how_to_train_longer():
    runner = mock.Mock(max_epochs=2)
    for runner.epoch in (1, 2, 3):
        SummaryHook().before_train(runner)
        assert runner.logger.warning.called == (runner.epoch >= 2)
    message = runner.logger.warning.call_args.args[0]
    assert message.startswith('this run has already trained 3 of 2 epochs. To train longer, raise')


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
