"""``mmgcvit visualize``: a subcommand for each kind of picture, files written, errors in one sentence."""

import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from mmgcvit import visualization
from mmgcvit.commands.main import run_command

from ..tools.commands import call
from .test_gradcam import needs_gradcam

DIGITS = 'data/digits'


@pytest.fixture
def call_it(monkeypatch, tmp_path, capsys):
    """Call the command in this process, in a folder of its own; gives what it printed, or the error."""
    monkeypatch.chdir(tmp_path)

    def call_it(*arguments):
        monkeypatch.setattr(sys, 'argv', ['mmgcvit visualize', *map(str, arguments)])
        try:
            run_command('visualize')
        except SystemExit as ended:
            return str(ended.code) + capsys.readouterr().err
        return capsys.readouterr().out

    return call_it


@pytest.mark.parametrize('kind', ['attention', 'queries', pytest.param('gradcam', marks=needs_gradcam)])
def test_a_picture_is_written(call_it, work_dirs, task, photo, tmp_path, kind):
    assert call_it(kind, work_dirs[task], photo, '--device', 'cpu') == f'{kind}: photo_{kind}.png\n'
    height, width = cv2.imread(str(tmp_path / f'photo_{kind}.png')).shape[:2]
    assert height > 300
    assert width > 600


def test_a_checkpoint_is_named_and_options_reach_it(call_it, work_dirs, photo, tmp_path):
    folder = work_dirs['classification']
    where = [folder / 'classify.py', folder / 'epoch_1.pth', photo, '--out', 'new/it.svg', '--device', 'cpu']
    call_it('attention', *where, '--stage', 1, '--block', 0, '--head', 1, '--at', '100,20')
    drawn = (tmp_path / 'new' / 'it.svg').read_text()
    assert '<!-- GCViT, stage 1, head 1 -->' in drawn
    assert 'the query at 100, 20' in drawn


def test_shifts_are_a_subcommand(call_it, lsa, tmp_path_factory, photo, tmp_path):
    folder = next(tmp_path_factory.getbasetemp().glob('lsa[0-9]')) / 'lsa'
    assert call_it('shifts', folder, photo, '--device', 'cpu') == 'shifts: photo_shifts.png\n'
    assert (tmp_path / 'photo_shifts.png').stat().st_size > 10_000


@needs_gradcam
@pytest.mark.parametrize(('stage', 'other'), [(3, 2), (0, 1)])
def test_an_empty_map_is_said_with_another_stage_to_try(stage, other, call_it, work_dirs, photo, tmp_path, monkeypatch):
    gradcam = visualization.gradcam

    def empty(*arguments):
        found = gradcam(*arguments)
        return replace(found, cam=np.zeros_like(found.cam))

    monkeypatch.setattr(visualization, 'gradcam', empty)
    printed = call_it('gradcam', work_dirs['classification'], photo, '--stage', stage, '--class', 7)
    assert printed == (
        f'nothing speaks for class digit 7 at stage {stage}; try --stage {other}\ngradcam: photo_gradcam.png\n'
    )
    assert (tmp_path / 'photo_gradcam.png').is_file()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['shifts'], 'visualize: this GCViT has no shifted copies of the image, which only LSA has'),
        (['attention', '--stage', 9], 'visualize: there is no stage 9; there are 0 to 3'),
        (['attention', '--at', 'middle'], "'middle': expected X,Y, for example 120,80"),
        (['queries', '--out', 'it.txt'], 'visualize: it.txt: pictures are written as .png, .pdf, .svg or .jpg'),
        (['queries', '--device', 'tpu'], "visualize: device 'tpu': expected auto, cpu, cuda or cuda:N"),
    ],
)
def test_errors_are_one_sentence(call_it, work_dirs, photo, arguments, message):
    kind, *options = arguments
    printed = call_it(kind, work_dirs['classification'], photo, *options)
    assert message in printed
    assert 'Traceback' not in printed


def test_the_image_is_not_overwritten(call_it, work_dirs, photo):
    before = cv2.imread(photo)
    printed = call_it('queries', work_dirs['classification'], photo, '--out', photo)
    assert 'is the image itself' in printed
    assert (cv2.imread(photo) == before).all()


def test_a_missing_image_or_two_of_them_are_refused(call_it, work_dirs, photo):
    folder = work_dirs['classification']
    assert call_it('queries', folder, 'no.png', '--device', 'cpu') == 'visualize: no.png: there is no such file'
    assert 'one IMAGE' in call_it('queries', folder, 'a.pth', photo, photo)


@pytest.mark.slow
def test_the_script_is_the_command(work_dirs, photo, tmp_path):
    out = tmp_path / 'it.png'
    folder = work_dirs['classification']
    output = call(DIGITS, '-m', 'mmgcvit', 'visualize', 'queries', folder, photo, '--out', out, '--device', 'cpu')
    assert f'queries: {out}' in output
    assert out.is_file()
