"""All commands read a renamed, moved or copied run as the run that it was: none reads the files of
another run, and those that need data ask for their folder if they do not find it.

Modules: `mmgcvit/commands`, `mmgcvit/runs/folder.py`, `mmgcvit/own/runs/run_data.py`.
"""

import json
import os
import re
import shutil
from itertools import count
from pathlib import Path

import pytest
from safetensors.torch import load_file

from mmgcvit.host.config import read_config

from ..moments import read_files
from ..own.data.formats.made import write_example
from ..tools import commands

NUMBERS = count()
TRAIN = ['--image-size', '64', '--size', 'mini', '--workers', '0', '--device', 'cpu']
RUN = Path('work_dirs/photos')


@pytest.fixture(scope='module')
def started(tmp_path_factory):
    """Return a project with a run of two epochs, and a run of another split that may take its name."""
    project = tmp_path_factory.mktemp('started') / 'project'
    for data, work_dir in (('photos', RUN), ('others/photos', f'others/{RUN}')):
        write_example(project / data, 'classes')
        options = ['--data', data, '--epochs', 2, '--work-dir', work_dir, *TRAIN]
        commands.call('', '-m', 'mmgcvit', 'train', *options, folder=project)
    return project


@pytest.fixture
def project(started, call, tmp_path, monkeypatch):
    """Change to a copy of the project, and return it."""
    folder = Path(shutil.copytree(started, tmp_path / 'project'))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run_command(call):
    """Return a function that runs a command, which must succeed, and returns its output."""

    def run_command(*words, fails=False):
        if words[0] in ('train', 'test'):  # mmengine has one logger for each name
            words = [*words, '--cfg-options', f'experiment_name={next(NUMBERS)}']
        code, printed = call(*words)
        assert (code != 0) == fails, printed
        return printed

    return run_command


def read_results(run_command, run, *data):
    """Return what the commands say of a run. ``data`` is the option for those that need it."""
    for folder in ('found', 'mistakes'):
        shutil.rmtree(folder, ignore_errors=True)
    photo = next(Path(data[-1] if data else 'photos').rglob('4.jpg'))
    run_command('predict', run, photo, '--device', 'cpu', '--out-dir', 'found', '--no-save-vis')
    scores = json.loads(Path('found/predictions.json').read_text())
    output = run_command('mistakes', run, '--device', 'cpu', '--out-dir', 'mistakes', *data)
    mistakes = json.loads(Path('mistakes/mistakes.json').read_text())
    test = run_command('test', run, '--device', 'cpu', *data)
    Path('w.safetensors').unlink(missing_ok=True)
    run_command('publish', run, 'w.safetensors')
    run_command('plot', run, '--out', 'curves.png')
    return {
        'predict': [(entry['category_id'], entry['score']) for entry in scores],
        'mistakes': [mistakes['rows_are_ground_truth'], output.partition('written')[0][-20:]],
        'worst': [(entry['score'], entry['text']) for entry in mistakes['worst']],
        'test': re.findall(r'accuracy/top1: [\d.]+', test),
        # Not its bytes: safetensors writes the metadata in any order.
        'publish': {name: x.tolist() for name, x in load_file('w.safetensors').items()},
        'plot': Path('curves.png').is_file(),
    }


def rename(run):
    return run.rename('work_dirs/first')


def move_deeper(run):
    Path('archive/2026').mkdir(parents=True)
    return run.rename('archive/2026/photos')


def copy(run):
    return Path(shutil.copytree(run, 'work_dirs/copy'))


def rename_and_take_the_old_name(run):
    moved = rename(run)
    shutil.copytree('others/work_dirs/photos', run)
    for file in (run / 'made').glob('*.txt'):  # fewer images
        file.write_text(''.join(file.read_text().splitlines(keepends=True)[:1]))
    return moved


def move_the_project(run):
    here = Path.cwd()
    os.chdir(here.rename(here.with_name('moved')))
    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    'move', [rename, move_deeper, copy, rename_and_take_the_old_name, move_the_project]
)
def test_a_moved_run_gives_the_same_results_and_goes_on(move, project, run_command):
    expected = read_results(run_command, RUN)
    moved = move(RUN)
    others = read_files(RUN) if moved != RUN and RUN.exists() else None
    assert read_results(run_command, moved) == expected
    resume = 'train', '--data', 'photos', '--work-dir', moved, '--resume', '--device', 'cpu'
    assert 'resumed epoch: 2' in run_command(*resume)
    printed = run_command(*resume, '--epochs', 3)
    assert 'the resumed training ends after 3 epochs' in printed
    assert (moved / 'epoch_3.pth').is_file()
    cfg = read_config(moved / 'photos.py')
    assert cfg.work_dir == str(moved)
    assert cfg.train_dataloader.dataset.ann_file == str(moved / 'made' / 'train.txt')
    assert others is None or read_files(RUN) == others


@pytest.mark.slow
def test_a_moved_run_is_exported_as_it_was(project, run_command):
    moved = rename_and_take_the_old_name(RUN)
    assert 'm.onnx: classification' in run_command('export', moved, 'm.onnx', '--no-check')


@pytest.mark.slow
def test_commands_that_need_the_data_ask_for_their_folder(project, run_command):
    expected = read_results(run_command, RUN)
    moved = rename(RUN)
    Path('photos').rename('pictures')
    for command in ('mistakes', 'test'):
        printed = run_command(command, moved, '--device', 'cpu', fails=True)
        assert 'work_dirs/first are not found: ' in printed
        assert 'Pass their folder: --data FOLDER' in printed
    assert read_results(run_command, moved, '--data', 'pictures') == expected
    resume = '--data', 'pictures', '--work-dir', moved, '--resume', '--epochs', 3
    assert 'ends after 3 epochs' in run_command('train', *resume, '--device', 'cpu')


@pytest.mark.slow
def test_a_file_is_resumed_from_its_own_epoch(project, run_command):
    resume = 'train', '--data', 'photos', '--device', 'cpu', '--epochs', 2, '--resume'
    printed = run_command(*resume[:-2], 1, '--resume', RUN / 'epoch_1.pth', fails=True)
    assert 'the run has trained for 1 epoch already' in printed
    (RUN / 'epoch_2.pth').unlink()
    printed = run_command(*resume, RUN / 'epoch_1.pth')
    assert 'resumed epoch: 1' in printed
    assert (RUN / 'epoch_2.pth').is_file()


@pytest.mark.slow
def test_a_run_of_other_data_is_not_overwritten(project, run_command):
    """The folders of both data sets have the same name, so the work dirs too."""
    before = read_files(RUN) | {'.lock': b''}
    options = '--data', 'others/photos', '--epochs', 1, *TRAIN
    for option in ('--overwrite', '--resume'):
        printed = run_command('train', *options, option, fails=True)
        assert re.search(r'is the work dir of a run on .*/project/photos, not on', printed)
    assert read_files(RUN) | {'.lock': b''} == before


@pytest.mark.parametrize('words', ['test RUN', 'mistakes RUN', 'suggest RUN photos/val/*/*.jpg'])
def test_data_that_have_changed_are_named_by_each_command_that_reads_them(
    words, project, run_command
):
    """Scores are then of other pictures, or by labels that the folder no longer has."""
    changed = sorted(Path('photos').rglob('*.jpg'))[0]
    os.utime(changed, (2**31, 2**31))
    printed = run_command(*words.replace('RUN', str(RUN)).split(), '--device', 'cpu')
    name = changed.relative_to('photos')
    assert f'newer than the start of the run: 1 file of photos ({name}). Images' in printed
