"""docs/first_afternoon.md from its top to its end, with fewer epochs."""

import json

import numpy as np
import pytest

from .pages import SHELLS, blocks_of, commands_of, run_command, texts_of

PAGE = 'docs/first_afternoon.md'
AS_JSON = '\nimport json\nprint(json.dumps([found.class_names, found.boxes.tolist(), found.scores.tolist()]))'


@pytest.mark.long
def test_an_afternoon_ends_with_a_file_that_finds_what_the_model_finds(tmp_path):
    for block in blocks_of(PAGE, *SHELLS):
        for command in commands_of(block):
            run_command(tmp_path, command.replace('--epochs 40', '--epochs 2'))
    for file in ('samples.jpg', 'work_dirs/my_detector/curves.png', 'found/vis/61st.jpg'):
        assert (tmp_path / file).is_file()
    records = json.loads((tmp_path / 'found' / 'predictions.json').read_text())
    (program,) = texts_of(PAGE, 'python')
    (tmp_path / 'program.py').write_text(program + AS_JSON)
    names, boxes, scores = json.loads(run_command(tmp_path, 'python program.py').splitlines()[-1])
    assert names
    assert names == [record['category_name'] for record in records]
    left, top, width, height = np.array([record['bbox'] for record in records]).T
    np.testing.assert_allclose(boxes, np.stack([left, top, left + width, top + height], axis=1), atol=0.1)
    np.testing.assert_allclose(scores, [record['score'] for record in records], atol=1e-4)
