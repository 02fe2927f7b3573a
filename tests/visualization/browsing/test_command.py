"""``mmgcvit browse``: sheets and sentences."""

import sys

import cv2
import pytest

from mmgcvit.commands.main import run_command
from mmgcvit.datasets.checks.contact_sheet import CAPTION, CELL

from .conftest import CONFIGS


@pytest.fixture
def call_it(monkeypatch, tmp_path, capsys):
    """Call the command in this process, in a folder of its own; gives what it printed, or ended with."""
    monkeypatch.chdir(tmp_path)

    def call_it(*arguments):
        monkeypatch.setattr(sys, 'argv', ['mmgcvit browse', *map(str, arguments)])
        try:
            run_command('browse')
        except SystemExit as ended:
            return ended.code
        return capsys.readouterr().out

    return call_it


@pytest.mark.parametrize('name', CONFIGS)
def test_a_sheet_is_written(call_it, configs, name, tmp_path):
    assert 'browse/train_01.jpg' in call_it(configs[name], '--number', 2, '--draws', 2)
    sheet = cv2.imread(str(tmp_path / 'browse' / 'train_01.jpg'))
    assert sheet.shape == (2 * (CELL[1] + CAPTION), 3 * CELL[0], 3)
    # No cell is empty.
    for row in range(2):
        for column in range(3):
            top, left = row * (CELL[1] + CAPTION), column * CELL[0]
            assert sheet[top : top + CELL[1], left : left + CELL[0]].std() > 5


def test_nothing_is_overwritten_unasked(call_it, configs):
    call_it(configs['classification'], '--number', 1, '--draws', 1, '--split', 'val')
    again = [configs['classification'], '--number', 1, '--draws', 1]
    assert '--overwrite' in call_it(*again, '--split', 'val')
    assert 'val_01.jpg' in call_it(*again, '--split', 'val', '--overwrite')
    assert 'train_01.jpg' in call_it(*again)


@pytest.mark.parametrize('option', ['--number', '--draws', '--seed'])
def test_numbers_that_mean_nothing_are_refused(call_it, configs, option):
    assert call_it(configs['detection'], option, -1).startswith(f'browse: {option} -1: expected at least')


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_drawn(call_it, configs):
    printed = call_it(configs['detection'], '--out-dir', '/proc/x')
    assert printed.startswith('browse: --out-dir /proc/x cannot be written')


def test_missing_data_is_named(call_it, configs):
    missing = call_it(
        configs['classification'], '--cfg-options', 'train_dataloader.dataset.data_root=nowhere/digits/imagenet'
    )
    assert 'The data set is not at' in missing
