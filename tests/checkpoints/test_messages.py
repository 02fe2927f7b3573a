"""Messages of the library name no option of a command: the commands add theirs."""

import ast
import re

import pytest

from ..programs import ROOT


def list_texts(tree):
    """Return the strings of a module, without docstrings."""
    docstrings = {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and ast.get_docstring(node) is not None
    }
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [
        node.value for node in constants if isinstance(node.value, str) and node not in docstrings
    ]


@pytest.mark.parametrize(
    'file', sorted((ROOT / 'mmgcvit' / 'checkpoints').glob('*.py')), ids=lambda file: file.stem
)
def test_messages_about_checkpoints_name_no_option(file):
    for text in list_texts(ast.parse(file.read_text())):
        assert not re.search(r'(^|[\s(])--[a-z]', text), text
