"""docs/troubleshooting.md quotes messages that the code has."""

import ast
import re

import pytest

from ..conftest import ROOT
from .pages import tables_of

PAGE = 'docs/troubleshooting.md'
# What torch, mmdet and Linux say.
OF_OTHERS = {'Connection closed by peer', 'CUDA out of memory', 'loss_bbox: nan'}
QUOTED = [
    words
    for table in tables_of(PAGE)
    for row in table[1:]
    for words in re.findall(r'`([^`]+)`', row[0])
    if ' ' in words and words not in OF_OTHERS
]


@pytest.fixture(scope='module')
def messages():
    """All texts in the package's code, each with ``...`` where a value is put in."""
    found = set()
    for path in (ROOT / 'mmgcvit').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else '...' for part in node.values)
                found.add(''.join(parts))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


@pytest.mark.parametrize('words', QUOTED)
def test_a_quoted_message_is_one_of_the_code(words, messages):
    pattern = re.compile('.+?'.join(map(re.escape, re.split(r' ?\.\.\. ?', words.strip('. ')))))
    assert any(pattern.search(message) for message in messages)


def test_messages_are_quoted():
    assert len(QUOTED) > 20
