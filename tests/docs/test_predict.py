"""The commands and programs of docs/predict.md and the README run, on small models in work dirs of
the same names.
"""

import re
import shlex
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mmgcvit.host.files import write_image

from ..predict.conftest import TASKS, write_video
from .pages import read_page

TEXT = read_page('docs/predict.md') + read_page('README.md')
# The task of each work dir that the pages name.
WORK_DIRS = {
    'my_detector': 'detection',
    'my_segmentor': 'segmentation',
    'my_classifier': 'classification',
    'photos': 'detection',
}
COMMANDS = re.findall('^mmgcvit predict work_dirs.*', TEXT, re.MULTILINE)
PROGRAMS = re.findall(r'^```python\n(import .*?)^```$', TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def place(tmp_path, work_dirs, picture, monkeypatch):
    """Create a folder with all files that the pages name, and change to it."""
    monkeypatch.chdir(tmp_path)
    for name, task in WORK_DIRS.items():
        folder = Path('work_dirs', name)
        folder.mkdir(parents=True)
        shutil.copy(work_dirs[task] / f'{TASKS[task]}.py', folder / f'{name}.py')
        shutil.copy(work_dirs[task] / 'epoch_1.pth', folder / 'epoch_12.pth')
    for name in ('photo.jpg', 'new_photo.jpg', 'photos/a.jpg', 'photos/below/a.jpg'):
        write_image(Path(name), picture)
    write_video('video.mp4', frames=2, codec='mp4v')


@pytest.mark.slow
def test_every_command_of_the_pages_succeeds(place, call):
    assert len(COMMANDS) >= 6
    for command in COMMANDS:
        line = command.replace('plate=', '7=')  # a class of the small detector
        assert call(*shlex.split(line, comments=True)[1:], '--overwrite')[0] == 0, line


@pytest.mark.slow
@pytest.mark.parametrize('program', PROGRAMS, ids=lambda program: ' '.join(program.split()[:4]))
def test_every_python_program_of_the_pages_runs(program, place, call, monkeypatch):
    """The package trackers is not installed.

    Its trackers take and return ``supervision.Detections``.
    """
    trackers = SimpleNamespace(
        ByteTrackTracker=lambda: SimpleNamespace(update=lambda detections: detections)
    )
    monkeypatch.setitem(sys.modules, 'trackers', trackers)
    predict = ['predict', 'work_dirs/my_detector', 'photo.jpg', '--overwrite', '--score-thr']
    for score_thr in ('0', '1') if 'COCO(' in program else ('0',):  # with objects, and without
        call(*predict, score_thr)
        exec(compile(program, 'docs', 'exec'), {})
