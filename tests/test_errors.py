"""Error messages escape control characters and suggest similar names."""

import pytest

from mmgcvit.errors import UserError, get_first_line, shorten, suggest


def test_control_characters_are_escaped():
    for text, printed in (
        ('größer als C:\\x', 'größer als C:\\x'),
        ('a\x1b[2J', r'a\x1b[2J'),
        ('a\rb', r'a\rb'),
    ):
        assert str(UserError(text)) == printed


@pytest.mark.parametrize(
    ('error', 'line'),
    [
        (ValueError('first\nsecond'), 'first'),
        (KeyError(), 'KeyError'),
        (OSError("cannot identify image file <_io.BytesIO object at 0x7f>'"), 'not an image'),
    ],
)
def test_an_error_is_told_in_one_line_without_addresses(error, line):
    assert get_first_line(error) == line


def test_many_names_are_shortened_and_a_similar_one_is_suggested():
    assert shorten(['a', 'b\r', 'c']) == r'a, b\r, c'
    assert shorten('abcd') == 'a, b, c, ...'
    assert suggest('gcvit_tiny', ['large', 'Tiny']) == '; did you mean Tiny?'
    assert suggest('gcvit_tiny', ['large']) == ''
