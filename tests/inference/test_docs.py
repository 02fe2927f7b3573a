"""What docs/predict.md and the README say to type is run as it stands there, on small models in folders so named."""

import json
import re
import shlex
import shutil

import cv2
import pytest

from ..conftest import ROOT
from .conftest import copy_work_dirs, picture_of
from .test_inputs import FakeCapture, write_video

SECTION = re.compile(r'## Use it on your own pictures\n(.*?)\n## ', re.DOTALL)
DOCS = (ROOT / 'docs' / 'predict.md').read_text()
README = SECTION.search((ROOT / 'README.md').read_text())[1]
# The work dirs that they name, and how the newest checkpoint in each is called there.
WORK_DIRS = {
    'my_detector': ('detection', 'epoch_12.pth'),
    'my_segmentor': ('segmentation', 'iter_160000.pth'),
    'my_classifier': ('classification', 'epoch_300.pth'),
    'cascade_gcvit_b': ('detection', 'epoch_36.pth'),
}


def blocks(text, language):
    return re.findall(rf'^```{language}\n(.*?)^```$', text, re.DOTALL | re.MULTILINE)


LINES = [line for text in (DOCS, README) for block in blocks(text, 'bash') for line in block.splitlines()]
# What follows objects is run by tests/integrations/test_track.py.
COMMANDS = [line for line in LINES if line.startswith('mmgcvit') and '--track' not in line]
PROGRAMS = [block for text in (DOCS, README) for block in blocks(text, 'python')]


@pytest.fixture
def place(tmp_path, work_dirs, monkeypatch):
    """A folder with everything that the docs name."""
    monkeypatch.chdir(tmp_path)
    copy_work_dirs(work_dirs, tmp_path, WORK_DIRS)
    (tmp_path / 'photos' / 'below').mkdir(parents=True)
    for number, name in enumerate(('photo.jpg', 'photos/a.jpg', 'photos/below/a.jpg')):
        cv2.imwrite(str(tmp_path / name), picture_of(90, 120, number))
    write_video(tmp_path / 'video.mp4', frames=2, codec='mp4v')
    return tmp_path


@pytest.fixture
def run_line(call):
    """Run a line as a shell would, in this process; gives its exit code and what it printed."""

    def run_line(line):
        program, name, *arguments = shlex.split(line, comments=True)
        assert (program, name) == ('mmgcvit', 'predict'), line
        return call(name, *arguments)

    return run_line


def test_commands_do_what_they_say(place, run_line, monkeypatch):
    """Each as it stands there, beside nothing that another has written."""
    assert len(COMMANDS) >= 7
    # A program for every task.
    assert sum('Inferencer(' in program for program in PROGRAMS) == 3
    assert sum('mmgcvit.load' in program for program in PROGRAMS) >= 3
    for line in COMMANDS:
        with monkeypatch.context() as patch:
            if 'camera:0' in line:
                # Files are read as ever: what is written is looked at.
                opened = {int: FakeCapture, str: cv2.VideoCapture}
                patch.setattr('cv2.VideoCapture', lambda source, opened=opened: opened[type(source)](source))
                patch.setattr(FakeCapture, 'frames', 2)
            assert run_line(line)[0] == 0, line
        found = re.search(r'--out-dir (\S+)', line)
        folder = place / (found[1] if found else 'predictions')
        assert any(folder.iterdir()), line
        shutil.rmtree(folder)


@pytest.mark.parametrize('program', PROGRAMS, ids=lambda program: ' '.join(program.split()[:4]))
def test_a_program_runs_as_it_stands(program, place, run_line, capsys):
    if 'COCO(' in program:
        run_line('mmgcvit predict work_dirs/my_detector photo.jpg --score-thr 0')
    exec(compile(program, 'docs', 'exec'), {})
    assert capsys.readouterr().out or 'zip(' in program


def test_records_have_the_fields_that_the_docs_show(place, run_line):
    shown = dict(
        zip(('my_detector', 'my_segmentor', 'my_classifier'), map(json.loads, blocks(DOCS, 'json')), strict=True)
    )
    for work_dir, example in shown.items():
        threshold = '--score-thr 0' if work_dir == 'my_detector' else ''
        run_line(f'mmgcvit predict work_dirs/{work_dir} photo.jpg --out-dir {work_dir} {threshold}')
        record = json.loads((place / work_dir / 'predictions.json').read_text())[0]
        assert list(record) == list(example)
        assert [type(value) for value in record.values()] == [type(value) for value in example.values()]
