"""The tutorial's cells run, one after the other, and print what they print in the notebook.

``jupyter execute --inplace docs/tutorial.ipynb`` writes their outputs anew.
"""

import json
import re

import pytest

from ..conftest import ROOT
from .pages import run_command

TUTORIAL = ROOT / 'docs' / 'tutorial.ipynb'
CELLS = [cell for cell in json.loads(TUTORIAL.read_text())['cells'] if cell['cell_type'] == 'code']
PRINTED = [''.join(line for output in cell['outputs'] for line in output.get('text', [])) for cell in CELLS]
MAX_BYTES = 1_000_000


def find_share(printed):
    """The share of pictures that the reader's own model gets right, as the last cell prints it."""
    right, count = re.fullmatch(r'(\d+) of (\d+) right\n', printed[-1]).groups()
    return int(right) / int(count)


@pytest.mark.long
def test_the_notebook_runs_and_reproduces_its_outputs(tmp_path):
    program = '\nprint("=====")\n'.join(''.join(cell['source']) for cell in CELLS)
    (tmp_path / 'cells.py').write_text(program)
    printed = run_command(ROOT, f'python {tmp_path}/cells.py').split('=====\n')
    assert len(printed) == len(CELLS)
    # The classes that the detector finds; scores differ between processors.
    classes = re.compile(r'^(\d)  score', re.MULTILINE)
    assert [sorted(classes.findall(each)) for each in printed] == [sorted(classes.findall(each)) for each in PRINTED]
    assert find_share(printed) >= 0.9


def test_the_notebook_was_run_in_order_and_is_small():
    assert [cell['execution_count'] for cell in CELLS] == [*range(1, len(CELLS) + 1)]
    assert find_share(PRINTED) >= 0.9
    assert TUTORIAL.stat().st_size < MAX_BYTES
    assert not re.search('/home/|/tmp/', TUTORIAL.read_text())
