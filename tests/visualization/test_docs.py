"""What docs/visualization.md says to type is run as it stands there, on small models in folders so named."""

import re
import shlex
import sys

import cv2
import pytest
import torch

from mmgcvit.checkpoints import save_whole
from mmgcvit.commands.main import run_command

from ..conftest import ROOT
from ..inference.conftest import CLASSES, make_work_dir, picture_of
from .conftest import LSA, classifier_of

DOCS = (ROOT / 'docs' / 'visualization.md').read_text()


def blocks(language):
    return re.findall(rf'^```{language}\n(.*?)^```$', DOCS, re.DOTALL | re.MULTILINE)


COMMANDS = [line for block in blocks('bash') for line in block.splitlines() if line.startswith('mmgcvit ')]


def see_dogs(checkpoint):
    """Have a detector of random weights take every box for one of the first class."""
    content = torch.load(checkpoint, weights_only=False)
    content['state_dict']['roi_head.bbox_head.fc_cls.bias'][0] = 20
    save_whole(content, checkpoint)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with everything that the page names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(CLASSES, 'detection', ['dog', *'123456789'])
    see_dogs(make_work_dir(tmp_path / 'work_dirs' / 'my_detector', 'detection') / 'epoch_1.pth')
    classifier_of(tmp_path / 'work_dirs' / 'my_classifier', pipeline=[])
    classifier_of(tmp_path / 'work_dirs' / 'my_lsa', type='mmgcvit.LSA', arch=LSA)
    cv2.imwrite(str(tmp_path / 'photo.jpg'), picture_of(128, 160))
    return tmp_path


@pytest.mark.parametrize('command', COMMANDS)
def test_a_command_draws_its_picture(command, place, monkeypatch, capsys):
    if 'gradcam' in command:
        pytest.importorskip('pytorch_grad_cam')
    monkeypatch.setattr(sys, 'argv', ['mmgcvit visualize', *shlex.split(command)[2:]])
    run_command('visualize')
    assert (place / capsys.readouterr().out.split(': ')[-1].strip()).stat().st_size > 10_000


def test_the_program_runs_as_it_stands(place, capsys):
    (program,) = blocks('python')
    exec(compile(program, 'docs', 'exec'), {})
    assert capsys.readouterr().out


def test_every_kind_has_a_command():
    assert {command.split()[2] for command in COMMANDS} == {'attention', 'queries', 'gradcam', 'shifts'}
