"""``mmgcvit mistakes``: files, pictures and sentences."""

import json
import sys

import cv2
import numpy as np
import pytest

from mmgcvit.commands.main import run_command
from mmgcvit.inference import UserError
from mmgcvit.visualization.mistakes.confusion import Confusion, draw_confusion
from mmgcvit.visualization.mistakes.finding import Folder

from ...inference.conftest import CLASSES


@pytest.fixture
def call_it(monkeypatch, tmp_path, capsys):
    """Call the command in this process, in a folder of its own; gives its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def call_it(*arguments):
        monkeypatch.setattr(sys, 'argv', ['mmgcvit mistakes', *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            run_command('mistakes')
        code, printed = ended.value.code, capsys.readouterr()
        return (1, f'{printed.out}{code}') if isinstance(code, str) else (code, printed.out)

    return call_it


def test_matrix_pictures_and_table_are_written(call_it, work_dir, task, tmp_path):
    threshold = ['--score-thr', 0] if task == 'detection' else []
    code, printed = call_it(work_dir, '--device', 'cpu', '--worst', 2, *threshold)
    assert code == 0
    out = tmp_path / 'mistakes'
    matrix = json.loads((out / 'confusion.json').read_text())
    assert matrix['classes'][: len(CLASSES[task])] == CLASSES[task]
    counts = np.array(matrix['matrix'])
    assert counts.shape == (len(matrix['classes']),) * 2
    assert f'{np.trace(counts) / counts.sum():.1%} of {counts.sum():,} {matrix["counted"]} right' in printed
    first = matrix['most_confused'][0]
    assert f'{first["truth"]} → {first["predicted"]}: {first["count"]:,}' in printed
    assert cv2.imread(str(out / 'confusion.png')).shape[1] > 1000
    table = json.loads((out / 'worst.json').read_text())['images']
    assert [entry['rank'] for entry in table] == [1, 2]
    assert table[0]['score'] <= table[1]['score']
    for entry in table:
        width = cv2.imread(str(out / entry['drawn'])).shape[1]
        assert width >= 2 * 320
        assert f'{entry["score"]:.3f} {entry["file_name"]}: {entry["why"]}' in printed
    assert not list(out.rglob('*.part'))


def test_nothing_is_overwritten_unasked_and_old_pictures_go(call_it, work_dirs, tmp_path):
    work_dir = work_dirs['classification']
    assert call_it(work_dir, '--device', 'cpu', '--worst', 3)[0] == 0
    kept = tmp_path / 'mistakes' / 'worst' / 'mine.png'
    kept.write_bytes(b'mine')
    code, printed = call_it(work_dir, '--device', 'cpu', '--worst', 1)
    assert code == 1
    assert 'confusion.json' in printed
    assert '--overwrite' in printed
    assert call_it(work_dir, '--device', 'cpu', '--worst', 1, '--overwrite')[0] == 0
    assert len(list(kept.parent.iterdir())) == 2
    assert kept.read_bytes() == b'mine'


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        (['--batch-size', 0], '--batch-size 0: expected at least 1'),
        (['--worst', -1], '--worst -1: expected at least 0'),
        (['--score-thr', 2], 'score_thr=2.0: expected a score from 0 to 1'),
        (['--device', 'tpu'], "device 'tpu': expected auto"),
    ],
)
def test_what_means_nothing_is_refused_in_a_sentence(call_it, work_dirs, arguments, words):
    code, printed = call_it(work_dirs['detection'], *arguments)
    assert code == 1
    assert printed.startswith('mistakes: ')
    assert words in printed


@pytest.mark.parametrize('number', [2, 10, 80, 161, 1000])
def test_a_matrix_of_any_size_is_a_picture_of_a_screen_or_a_few(number):
    confusion = Confusion([f'class {i}' for i in range(number)], 'images')
    random = np.random.default_rng(0)
    confusion.add(random.integers(0, number, 500), random.integers(0, number, 500))
    picture = draw_confusion(confusion)
    assert min(picture.get_size_inches() * 110) >= 600
    assert max(picture.get_size_inches() * 110) <= 4500


def test_a_matrix_without_mistakes_says_so():
    confusion = Confusion(['cat', 'dog'], 'images')
    confusion.add(np.array([0, 1]), np.array([0, 1]))
    assert 'nothing is confused' in [text.get_text() for axes in draw_confusion(confusion).axes for text in axes.texts]
    assert confusion.most_confused(5) == []


@pytest.mark.parametrize('content', ['{"images": [', '[]', '{"images": [{"file_name": "a.jpg"}]}'])
def test_a_table_of_another_program_is_left_alone_before_anything_is_computed(content, tmp_path):
    (tmp_path / 'worst.json').write_text(content)
    with pytest.raises(UserError, match=r'worst\.json is no table of this command'):
        Folder(tmp_path, overwrite=True)
    assert (tmp_path / 'worst.json').read_text() == content


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_computed(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match='cannot be written'):
        Folder(tmp_path / 'file' / 'below')
