"""The tutorial's cells run, one after the other, and say what they say in the notebook."""

import json
import re
import sys

import pytest

from .. import programs
from ..programs import ROOT
from ..tools.commands import environment_for

TUTORIAL = ROOT / 'docs' / 'tutorial.ipynb'
LARGEST = 400_000


def code_cells(notebook):
    return [cell for cell in notebook['cells'] if cell['cell_type'] == 'code']


def printed(cell):
    return ''.join(line for output in cell['outputs'] for line in output.get('text', []))


def share_right(notebook):
    """Of the last cell: how many pictures the model of one's own sees right."""
    right, of = re.fullmatch(r'(\d+) of (\d+) right\n', printed(code_cells(notebook)[-1])).groups()
    return int(right) / int(of)


@pytest.fixture(scope='module')
def run_again(tmp_path_factory):
    """The notebook as it is after all its cells have run here, in a process of its own."""
    path = tmp_path_factory.mktemp('tutorial') / 'tutorial.ipynb'
    path.write_text(TUTORIAL.read_text())
    ended = programs.run([sys.executable, '-m', 'tests.docs.notebook', str(path)], environment_for(''), cwd=ROOT)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(path.read_text())


@pytest.mark.long
def test_its_cells_run_and_find_what_the_notebook_shows(run_again):
    stored = json.loads(TUTORIAL.read_text())
    for here, there in zip(code_cells(run_again), code_cells(stored), strict=True):
        assert [output['output_type'] for output in here['outputs']] == [o['output_type'] for o in there['outputs']]
    detected = [cell for cell in code_cells(stored) if 'detector(photo)' in ''.join(cell['source'])]
    classes = re.findall(r'^(\d)  score', printed(detected[0]), re.MULTILINE)
    again = printed(code_cells(run_again)[code_cells(stored).index(detected[0])])
    assert sorted(re.findall(r'^(\d)  score', again, re.MULTILINE)) == sorted(classes)
    assert share_right(run_again) >= 0.9


def test_it_was_run_as_it_stands_and_is_small():
    stored = json.loads(TUTORIAL.read_text())
    assert [cell['execution_count'] for cell in code_cells(stored)] == [*range(1, len(code_cells(stored)) + 1)]
    assert share_right(stored) >= 0.9
    assert TUTORIAL.stat().st_size < LARGEST
    assert '/home/' not in TUTORIAL.read_text()
    assert '/tmp/' not in TUTORIAL.read_text()
