"""The commands and programs of docs/predict.md and the README run, on small models in work dirs of
the same names.
"""

import re
import shlex
import shutil
import sys
from types import SimpleNamespace

import cv2
import pytest

from ..conftest import ROOT
from .conftest import TASKS, picture_of
from .test_inputs import write_video

SECTION = re.compile(r'## Train on your own pictures\n(.*?)\n## ', re.DOTALL)
TEXT = (ROOT / 'docs' / 'predict.md').read_text() + SECTION.search(
    (ROOT / 'README.md').read_text()
)[1]
# The task and the checkpoint's name of each work dir that the pages name.
WORK_DIRS = {
    'my_detector': ('detection', 'epoch_12.pth'),
    'my_segmentor': ('segmentation', 'iter_160000.pth'),
    'my_classifier': ('classification', 'epoch_300.pth'),
    'photos': ('detection', 'epoch_36.pth'),
}
COMMANDS = [line for line in TEXT.splitlines() if line.startswith('mmgcvit predict')]
PROGRAMS = re.findall(r'^```python\n(.*?)^```$', TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def place(tmp_path, work_dirs, monkeypatch):
    """Create a folder with all files that the pages name, and change to it."""
    monkeypatch.chdir(tmp_path)
    for name, (task, checkpoint) in WORK_DIRS.items():
        folder = tmp_path / 'work_dirs' / name
        folder.mkdir(parents=True)
        shutil.copy(work_dirs[task] / f'{TASKS[task]}.py', folder / f'{name}.py')
        shutil.copy(work_dirs[task] / 'epoch_1.pth', folder / checkpoint)
    (tmp_path / 'photos' / 'below').mkdir(parents=True)
    for number, name in enumerate(
        ('photo.jpg', 'new_photo.jpg', 'photos/a.jpg', 'photos/below/a.jpg')
    ):
        cv2.imwrite(str(tmp_path / name), picture_of(90, 120, number))
    write_video(tmp_path / 'video.mp4', frames=2, codec='mp4v')
    return tmp_path


def test_every_command_of_the_pages_succeeds(place, call):
    assert len(COMMANDS) >= 6
    for line in COMMANDS:
        assert call(*shlex.split(line, comments=True)[1:], '--overwrite')[0] == 0, line


@pytest.mark.parametrize('program', PROGRAMS, ids=lambda program: ' '.join(program.split()[:4]))
def test_every_python_program_of_the_pages_runs(program, place, call, monkeypatch):
    """The package trackers is not installed.

    Its trackers take and return ``supervision.Detections``.
    """
    trackers = SimpleNamespace(
        ByteTrackTracker=lambda: SimpleNamespace(update=lambda detections: detections)
    )
    monkeypatch.setitem(sys.modules, 'trackers', trackers)
    for score_thr in ('0', '1') if 'COCO(' in program else ():  # with objects, and without
        call(
            'predict', 'work_dirs/my_detector', 'photo.jpg', '--score-thr', score_thr, '--overwrite'
        )
        exec(compile(program, 'docs', 'exec'), {})
    exec(compile(program, 'docs', 'exec'), {})
