"""Progress is a bar on a terminal and plain lines elsewhere."""

import io

import pytest

from mmgcvit.engine import progress as display
from mmgcvit.engine.progress import Bars, Lines, display_for


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def at_once(monkeypatch):
    """Displays that do not wait between two writings."""
    monkeypatch.setattr(display, 'SECONDS_BETWEEN_LINES', -1)
    monkeypatch.setattr(display, 'SECONDS_BETWEEN_REFRESHES', -1)


@pytest.mark.parametrize(
    ('stream', 'term', 'kind'), [(Terminal, 'xterm', Bars), (Terminal, 'dumb', Lines), (io.StringIO, 'xterm', Lines)]
)
def test_bars_are_for_terminals_that_can_move_the_cursor(stream, term, kind, monkeypatch):
    monkeypatch.setenv('TERM', term)
    assert type(display_for(stream())) is kind


def test_lines_tell_how_far_a_loop_is(at_once):
    written = io.StringIO()
    lines = Lines(written)
    lines.begin('training', 10, done=2)
    lines.advance(4, 'loss 0.5')
    lines.begin('validating', 3)
    lines.advance(1)
    lines.end()
    lines.advance(5, 'x' * 200)
    lines.line('epoch 1 of 2')
    lines.end()
    lines.close()
    first, second, third, last = written.getvalue().splitlines()
    assert first.startswith('training: 4 of 10')
    assert first.endswith(', loss 0.5')
    assert second.startswith('validating: 1 of 3')
    assert third.startswith('training: 5 of 10')
    assert len(third) <= display.LONGEST_LINE
    assert last == 'epoch 1 of 2'


def test_lines_are_written_every_few_seconds():
    written = io.StringIO()
    lines = Lines(written)
    lines.begin('training', 10)
    lines.advance(4)
    assert written.getvalue() == ''


def test_bars_show_the_loop_the_note_and_what_stays(at_once, monkeypatch):
    monkeypatch.setenv('TERM', 'xterm')
    terminal = Terminal()
    bars = display_for(terminal)
    bars.begin('training', 10, done=2)
    bars.advance(4, 'loss 0.5')
    bars.line('epoch 1 of 2: loss 0.4')
    bars.begin('validating', 3)
    bars.advance(1)
    bars.end()
    assert [task.description for task in bars.progress.tasks] == ['training']
    bars.end()
    bars.close()
    written = terminal.getvalue()
    for words in ('training', '4/10', 'loss 0.5', 'epoch 1 of 2: loss 0.4', 'validating', '1/3'):
        assert words in written
    assert not bars.progress.live.is_started
