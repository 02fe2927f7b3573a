"""``tools/get_flops.py`` prints a table of parameters and multiply-adds."""

import pytest

from tools import get_flops

from ..conftest import ROOT

DEMO = ROOT / 'configs' / 'demo'


def test_parts_of_a_classifier_sum_to_the_total(call):
    lines = call(get_flops, DEMO / 'gcvit_digits_cls.py', '--shape', 64, 96)[1].splitlines()
    assert lines[0].endswith('gcvit_digits_cls.py, one image of 64x96 px (height x width)')
    rows = [[cell.strip(' *') for cell in line.strip('|').split('|')] for line in lines[4:]]
    assert [row[0] for row in rows] == ['backbone', 'neck', 'head', 'whole model']
    *parts, whole = [[float(number) for number in row[1:]] for row in rows]
    assert whole == pytest.approx([sum(column) for column in zip(*parts, strict=True)], abs=0.02)
    assert whole[0] > 0
    printed = call(get_flops, DEMO / 'mask_rcnn_gcvit_digits.py', '--shape', 60, 90)[1]
    assert 'one image of 64x96 px (height x width), padded to multiples of 32\n' in printed
