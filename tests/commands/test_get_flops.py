"""Counts of a config's model and of the published variants are printed as tables; mistakes in the call are answered."""

import pytest

from mmgcvit.commands import get_flops
from mmgcvit.commands.main import run_command

from ..conftest import ROOT


def test_parts_of_a_classifier_add_up_and_variants_are_beside_the_published(capsys, monkeypatch):
    run_command('flops', [ROOT / 'configs' / 'demo' / 'gcvit_digits_cls.py', '--shape', 64, 96])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith('gcvit_digits_cls.py, one image of 64x96 px (height x width)')
    rows = [[cell.strip(' *') for cell in line.strip('|').split('|')] for line in lines[4:]]
    assert [row[0] for row in rows] == ['backbone', 'neck', 'head', 'whole model']
    *parts, whole = [[float(number) for number in row[1:]] for row in rows]
    assert whole == pytest.approx([sum(column) for column in zip(*parts, strict=True)], abs=0.02)
    assert whole[0] > 0
    run_command('flops', [ROOT / 'configs' / 'demo' / 'mask_rcnn_gcvit_digits.py', '--shape', 60, 90])
    assert capsys.readouterr().out.splitlines()[0].endswith('one image of 64x96 px (height x width), padded')
    monkeypatch.setattr(get_flops, 'PUBLISHED', {('xxtiny', 224, (7, 7, 14, 7)): (2.1, 79.9)})
    run_command('flops', ['--table'])
    row = capsys.readouterr().out.splitlines()[-1]
    assert row == '| xxtiny | 224x224 | 7, 7, 14, 7 | 11,995,428 | 2.120 | 2.1 | 79.9 |'


def test_other_calls_are_answered():
    size = ['--shape', 2, 3]
    for arguments in ([], ['config.py'], size, ['config.py', *size, '--table'], ['--table', *size]):
        with pytest.raises(SystemExit, match='give a CONFIG and --shape HEIGHT WIDTH, or --table alone'):
            run_command('flops', arguments)
