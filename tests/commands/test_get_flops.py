"""``mmgcvit flops`` prints a table of parameters and multiply-adds."""

import pytest

from mmgcvit.commands.main import run_command

from ..conftest import ROOT


def test_parts_of_a_classifier_sum_to_the_total(capsys):
    run_command('flops', [ROOT / 'configs' / 'demo' / 'gcvit_digits_cls.py', '--shape', 64, 96])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith('gcvit_digits_cls.py, one image of 64x96 px (height x width)')
    rows = [[cell.strip(' *') for cell in line.strip('|').split('|')] for line in lines[4:]]
    assert [row[0] for row in rows] == ['backbone', 'neck', 'head', 'whole model']
    *parts, whole = [[float(number) for number in row[1:]] for row in rows]
    assert whole == pytest.approx([sum(column) for column in zip(*parts, strict=True)], abs=0.02)
    assert whole[0] > 0
    run_command('flops', [ROOT / 'configs' / 'demo' / 'mask_rcnn_gcvit_digits.py', '--shape', 60, 90])
    assert (
        capsys.readouterr()
        .out.splitlines()[0]
        .endswith('one image of 64x96 px (height x width), padded to multiples of 32')
    )
