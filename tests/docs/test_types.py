"""The Python programs of the pages have the types that they use: ``make types``."""

import sys

import pytest

from ..programs import ROOT, run
from .test_blocks import BEFORE, PYTHON, is_config

pytest.importorskip('mypy', reason='make types needs mypy')
# Only errors of the programs are reported: not of the package, or of packages without types.
OPTIONS = ['--follow-imports=silent', '--ignore-missing-imports', '--no-incremental']


@pytest.mark.long
def test_programs_of_the_pages_have_no_type_errors(tmp_path):
    for number, block in enumerate(PYTHON):
        if not is_config(block):
            before = ''.join(code for words, code in BEFORE.items() if words in block.text)
            path = tmp_path / f'block_{number}.py'
            path.write_text(f'# {block}\n{before}{block.text}')
    environment = {'MYPYPATH': str(ROOT), 'PYTHONPATH': str(ROOT)}
    ended = run([sys.executable, '-m', 'mypy', *OPTIONS, tmp_path], environment)
    assert ended.returncode == 0, ended.stdout + ended.stderr
