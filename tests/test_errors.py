"""Messages print as they are meant, do nothing else to a terminal, and name what was probably meant."""

from mmgcvit.errors import LONGEST_MESSAGE, UserError, meant


def test_what_prints_stays_and_what_does_not_is_written_out_or_cut():
    for text, printed in (
        *((text, text) for text in ('größer als C:\\x', 'two\nlines', 'x' * LONGEST_MESSAGE)),
        ('a\x1b[2J', r'a\x1b[2J'),
        ('a\rb', r'a\rb'),
        ('x' * (LONGEST_MESSAGE + 1), 'x' * LONGEST_MESSAGE + ' ...'),
    ):
        assert str(UserError(text)) == printed


def test_of_known_names_the_one_most_like_the_given_one_is_named_and_none_where_none_is():
    archs = {'xtiny': 1, 'tiny': 2, 'tiny2': 3, 'small': 4, 'Base': 5}
    for given, names, asked in (
        *((name, archs, '; is tiny meant?') for name in ('tinny', 'TINY', 'gcvit_tiny')),
        ('base-', archs, '; is Base meant?'),
        ('resnet50', archs, ''),
        ('', archs, ''),
        ('a\x1b', ['a\x1b'], r'; is a\x1b meant?'),
    ):
        assert meant(given, names) == asked
    assert meant('tny', archs, 'timm://gcvit_{}'.format) == '; is timm://gcvit_tiny meant?'
