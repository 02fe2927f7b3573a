"""docs/first_afternoon.md from its top to its end, with fewer epochs."""

import json
import shlex
import sys

import numpy as np
import pytest

from .. import fork_server, programs
from ..conftest import ROOT
from ..tools.commands import environment_for, output_of
from .pages import texts_of

PAGE = 'docs/first_afternoon.md'
COMMANDS = [line for text in texts_of(PAGE, 'bash') for line in text.splitlines()]
(PROGRAM,) = texts_of(PAGE, 'python')
AS_JSON = '\nimport json\nprint(json.dumps([found.class_names, found.boxes.tolist(), found.scores.tolist()]))'


def typed(folder, line):
    """What a line prints that is typed in a folder; a command is forked from a process that has imported the hosts."""
    program, *words = shlex.split(line)
    if program == 'mmgcvit':
        ended = fork_server.run('-m', 'mmgcvit', *words, environment=environment_for(''), folder=folder)
    else:
        program = {'python': sys.executable}.get(program, program)
        ended = programs.run([program, *words], environment_for('', PYTHONPATH=str(ROOT)), cwd=folder)
    return output_of(ended, fails=False)


@pytest.mark.long
def test_an_afternoon_ends_with_a_file_that_finds_what_the_model_finds(tmp_path):
    for line in COMMANDS:
        typed(tmp_path, line.replace('--epochs 40', '--epochs 2'))
    assert (tmp_path / 'samples.jpg').is_file()
    assert (tmp_path / 'work_dirs' / 'my_detector' / 'curves.png').is_file()
    assert (tmp_path / 'found' / 'vis' / '61st.jpg').is_file()
    records = json.loads((tmp_path / 'found' / 'predictions.json').read_text())
    (tmp_path / 'program.py').write_text(PROGRAM + AS_JSON)
    names, boxes, scores = json.loads(typed(tmp_path, 'python program.py').splitlines()[-1])
    assert names == [record['category_name'] for record in records]
    assert names
    left, top, width, height = np.array([record['bbox'] for record in records]).T
    np.testing.assert_allclose(boxes, np.stack([left, top, left + width, top + height], axis=1), atol=0.1)
    np.testing.assert_allclose(scores, [record['score'] for record in records], atol=1e-4)
