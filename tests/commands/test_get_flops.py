"""Counts of a config's model and of the published variants are printed as tables; mistakes in the call are answered."""

import pytest

from mmgcvit.commands import get_flops

from ..conftest import ROOT


@pytest.fixture
def call(monkeypatch, capsys):
    """Calls the command in this process; what it prints, line by line."""

    def call(*arguments):
        monkeypatch.setattr('sys.argv', ['get_flops', *map(str, arguments)])
        get_flops.main()
        return capsys.readouterr().out.splitlines()

    return call


def test_parts_of_a_classifier_add_up(call):
    lines = call(ROOT / 'configs' / 'demo' / 'gcvit_digits_cls.py', '--shape', 64, 96)
    assert lines[0].endswith('gcvit_digits_cls.py, one image of 64x96 px (height x width)')
    rows = [[cell.strip(' *') for cell in line.strip('|').split('|')] for line in lines[4:]]
    assert [row[0] for row in rows] == ['backbone', 'neck', 'head', 'whole model']
    *parts, whole = [[float(number) for number in row[1:]] for row in rows]
    assert whole == pytest.approx([sum(column) for column in zip(*parts, strict=True)], abs=0.02)
    assert whole[0] > 0


def test_variants_are_beside_the_published(call, monkeypatch):
    monkeypatch.setattr(get_flops, 'PUBLISHED', {('xxtiny', 224, (7, 7, 14, 7)): (2.1, 79.9)})
    *_, row = call('--table')
    assert row == '| xxtiny | 224x224 | 7, 7, 14, 7 | 11,995,428 | 2.120 | 2.1 | 79.9 |'


@pytest.mark.parametrize(
    'arguments',
    [[], ['config.py'], ['--shape', 2, 3], ['config.py', '--shape', 2, 3, '--table'], ['--table', '--shape', 2, 3]],
)
def test_other_calls_are_answered(arguments, call, capsys):
    with pytest.raises(SystemExit):
        call(*arguments)
    assert 'give a CONFIG and --shape HEIGHT WIDTH, or --table alone' in capsys.readouterr().err
