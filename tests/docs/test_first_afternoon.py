"""docs/first_afternoon.md from its top to its end, with fewer epochs."""

import json

import numpy as np
import pytest

from .pages import SHELLS, find_blocks, read_blocks, run_command, split_commands

PAGE = 'docs/first_afternoon.md'
AS_JSON = '\nimport json\nprint(json.dumps([found.class_names, found.boxes.tolist(), found.scores.tolist()]))'


@pytest.mark.long
def test_the_tutorial_ends_with_an_onnx_file_that_detects_what_the_model_detects(tmp_path):
    for block in find_blocks(PAGE, *SHELLS):
        for command in split_commands(block):
            run_command(tmp_path, command.replace('--epochs 40', '--epochs 8'))
    for file in ('samples.jpg', 'work_dirs/photos/curves.png', 'mistakes/report.html', 'found/vis/photo 07.jpg'):
        assert (tmp_path / file).is_file()
    records = json.loads((tmp_path / 'found' / 'predictions.json').read_text())
    (program,) = read_blocks(PAGE, 'python')
    (tmp_path / 'program.py').write_text(program + AS_JSON)
    names, boxes, scores = json.loads(run_command(tmp_path, 'python program.py').splitlines()[-1])
    assert names
    assert names == [record['category_name'] for record in records]
    left, top, width, height = np.array([record['bbox'] for record in records]).T
    np.testing.assert_allclose(boxes, np.stack([left, top, left + width, top + height], axis=1), atol=0.1)
    np.testing.assert_allclose(scores, [record['score'] for record in records], atol=1e-4)
