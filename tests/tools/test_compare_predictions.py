"""Predictions of two machines are compared object by object, in any order.

Modules: `tools/installation/compare_predictions.py`.
"""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.installation.compare_predictions import compare, main

RECORDS = [
    {'image_id': image, 'category_id': category, 'bbox': [left, 7.0, 20.0, 10.0], 'score': 0.5}
    for image in (1, 2)
    for category in (1, 2)
    for left in (0.0, 40.0, 80.0)
]
CHANGES = st.tuples(st.floats(-0.4, 0.4), st.floats(-4, 4))  # of a score and a width


@given(st.permutations(RECORDS), st.lists(CHANGES, min_size=12, max_size=12))
def test_the_largest_differences_are_those_of_the_changed_objects(records, changes):
    changed = []
    for record, (score, width) in zip(records, changes, strict=True):
        left, top, old_width, height = record['bbox']
        bbox = [left, top, old_width + width, height]
        changed.append({**record, 'bbox': bbox, 'score': record['score'] + score})
    found = compare(RECORDS, changed)
    assert (found.num_objects, found.num_pairs) == ((12, 12), 12)
    assert found.score == pytest.approx(max(abs(score) for score, _ in changes))
    assert found.box == pytest.approx(max(abs(width) for _, width in changes))


def test_an_object_without_a_partner_is_an_error(tmp_path, monkeypatch, capsys):
    other_class = [{**RECORDS[0], 'category_id': 3}, *RECORDS[1:]]
    far_away = [{**RECORDS[0], 'bbox': [6.0, 7.0, 20.0, 10.0]}, *RECORDS[1:]]
    for number, content in enumerate([RECORDS, RECORDS, RECORDS[1:], other_class, far_away]):
        (tmp_path / f'{number}.json').write_text(json.dumps(content))
        paths = [str(tmp_path / '0.json'), str(tmp_path / f'{number}.json')]
        monkeypatch.setattr(sys, 'argv', ['', *paths])
        if number < 2:
            main()
        else:
            with pytest.raises(SystemExit):
                main()
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith('12 and 12 objects, 12 pairs; largest difference of scores 0.00')
    assert printed[2].startswith('12 and 11 objects, 11 pairs')
