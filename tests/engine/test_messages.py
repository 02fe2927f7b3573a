"""Messages of the engine name arguments and settings, since a program may have other options than
mmgcvit's commands, which add their own.
"""

import ast
import re

import pytest

from ..conftest import ROOT

FILES = sorted((ROOT / 'mmgcvit' / 'engine').rglob('*.py'))


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_no_message_names_an_option(file):
    nodes = [*ast.walk(ast.parse(file.read_text()))]
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {ast.get_docstring(x, clean=False) for x in nodes if isinstance(x, documented)}
    texts = {x.value for x in nodes if isinstance(x, ast.Constant) and isinstance(x.value, str)}
    for text in texts - docs:
        assert not re.search(r'(?<!docker run )--[a-z]', text), text
