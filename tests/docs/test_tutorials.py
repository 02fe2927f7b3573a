"""The notebook's cells run and print what they print in it; docs/fifty_photos.md runs with fewer
epochs.

``jupyter execute --inplace docs/tutorial.ipynb`` writes the notebook's outputs anew.

Modules: `docs/tutorial.ipynb`, `docs/fifty_photos.md`.
"""

import json
import re

import numpy as np
import pytest

from ..conftest import ROOT
from .pages import SHELLS, find_blocks, read_blocks, split_commands
from .running import run_command

TUTORIAL = ROOT / 'docs' / 'tutorial.ipynb'
CELLS = [cell for cell in json.loads(TUTORIAL.read_text())['cells'] if cell['cell_type'] == 'code']
MAX_BYTES = 1_000_000
PAGE = 'docs/fifty_photos.md'
AS_JSON = """
import json
print(json.dumps([found.class_names, found.boxes.tolist(), found.scores.tolist()]))
"""


@pytest.mark.long
def test_the_notebook_runs_and_reproduces_its_outputs(tmp_path):
    program = '\nprint("=====")\n'.join(''.join(cell['source']) for cell in CELLS)
    (tmp_path / 'cells.py').write_text(program)
    printed = run_command(ROOT, f'python {tmp_path}/cells.py').split('=====\n')
    # The classes that the detector finds; scores differ between processors.
    classes = re.compile(r'^(\d)  score', re.MULTILINE)
    for text, cell in zip(printed, CELLS, strict=True):
        stored = [''.join(output.get('text', [])) for output in cell['outputs']]
        assert sorted(classes.findall(text)) == sorted(classes.findall(''.join(stored)))
    # The pictures that the reader's own model gets right.
    right, count = re.fullmatch(r'(\d+) of (\d+) right\n', printed[-1]).groups()
    assert int(right) >= 0.9 * int(count)


def test_the_notebook_was_run_in_order_and_is_small_and_its_pictures_have_alt_texts():
    assert [cell['execution_count'] for cell in CELLS] == [*range(1, len(CELLS) + 1)]
    assert TUTORIAL.stat().st_size < MAX_BYTES
    assert not re.search('/home/|/tmp/', TUTORIAL.read_text())
    for cell in CELLS:
        if any('image/png' in output.get('data', ()) for output in cell['outputs']):
            assert len(cell['metadata']['mystnb']['image']['alt'].split()) > 3


@pytest.mark.long
def test_the_tutorial_ends_with_an_onnx_file_that_detects_what_the_model_detects(tmp_path):
    for block in find_blocks(PAGE, *SHELLS):
        for command in split_commands(block.text):
            if command.startswith(('make install', 'source')):  # the tests' environment has it all
                continue
            run_command(tmp_path, command.replace('--epochs 40', '--epochs 8'))
            if command.startswith('mmgcvit train'):
                # Eight epochs give low scores, so the chosen threshold may leave nothing to
                # compare.
                chosen = tmp_path / 'work_dirs' / 'photos' / 'score_thr.json'
                low = {'score_thr': 0.2, 'class_score_thr': {}}
                chosen.write_text(json.dumps(json.loads(chosen.read_text()) | low))
    files = ('samples.jpg', 'mistakes/mistakes.json', 'found/vis/photo 07.jpg')
    for file in (*files, 'work_dirs/photos/curves.png'):
        assert (tmp_path / file).is_file()
    records = json.loads((tmp_path / 'found' / 'predictions.json').read_text())
    (program,) = read_blocks(PAGE, 'python')
    (tmp_path / 'program.py').write_text(program + AS_JSON)
    names, boxes, scores = json.loads(run_command(tmp_path, 'python program.py').splitlines()[-1])
    assert names
    assert names == [record['category_name'] for record in records]
    expected = np.array([record['bbox'] for record in records])
    expected[:, 2:] += expected[:, :2]
    np.testing.assert_allclose(boxes, expected, atol=0.1)
    np.testing.assert_allclose(scores, [record['score'] for record in records], atol=1e-4)
