"""Messages print as they are meant, and do nothing else to a terminal."""

import pytest

from mmgcvit.checkpoints import CheckpointError
from mmgcvit.errors import LONGEST_MESSAGE


@pytest.mark.parametrize('text', ['größer als C:\\x', 'two\nlines', 'x' * LONGEST_MESSAGE])
def test_what_prints_stays_as_it_is(text):
    assert str(CheckpointError(text)) == text


@pytest.mark.parametrize(
    ('text', 'printed'),
    [('a\x1b[2J', r'a\x1b[2J'), ('a\rb', r'a\rb'), ('x' * (LONGEST_MESSAGE + 1), 'x' * LONGEST_MESSAGE + ' ...')],
)
def test_what_does_not_is_written_out_and_what_is_endless_cut(text, printed):
    assert str(CheckpointError(text)) == printed
