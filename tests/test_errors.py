"""Messages print as they are meant, and do nothing else to a terminal."""

from mmgcvit.errors import LONGEST_MESSAGE, UserError


def test_what_prints_stays_and_what_does_not_is_written_out_or_cut():
    for text, printed in (
        *((text, text) for text in ('größer als C:\\x', 'two\nlines', 'x' * LONGEST_MESSAGE)),
        ('a\x1b[2J', r'a\x1b[2J'),
        ('a\rb', r'a\rb'),
        ('x' * (LONGEST_MESSAGE + 1), 'x' * LONGEST_MESSAGE + ' ...'),
    ):
        assert str(UserError(text)) == printed
