"""Whenever a command is killed, its files are whole and of one run, and the same command succeeds
afterwards.
"""

import json
import shutil

import cv2
import pytest

from ..datasets.formats.made import write_example
from ..inference.conftest import CLASSES, picture_of
from ..moments import list_states, restore, run

PREDICT = ['predict', '../run', 'photos', '--device', 'cpu']
COMMANDS = [
    PREDICT,
    ['publish', '../run', 'model.safetensors'],
    pytest.param(['mistakes', '../run', '--device', 'cpu'], marks=pytest.mark.slow),
    pytest.param(['export', '../run', 'model.onnx'], marks=pytest.mark.long),
]


def read(folder):
    files = (path for path in folder.rglob('*') if path.is_file() and path.suffix != '.unfinished')
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def here(work_dirs, tmp_path):
    """Return a folder with photos and validation data, beside the work dir of a classifier."""
    shutil.copytree(work_dirs['classification'], tmp_path / 'run')
    (tmp_path / 'here' / 'photos').mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(
            str(tmp_path / 'here' / 'photos' / f'{number}.png'), picture_of(90, 120, number)
        )
    for name in CLASSES['classification']:
        folder = tmp_path / 'here' / 'data' / 'digits' / 'classes' / name
        shutil.copytree(tmp_path / 'here' / 'photos', folder)
    return tmp_path / 'here'


@pytest.mark.parametrize('command', COMMANDS)
def test_a_killed_command_leaves_whole_files_and_succeeds_when_it_is_repeated(
    command, here, tmp_path
):
    states = list_states(here, tmp_path / 'states', *command, cwd=here)
    written = read(here)
    assert all(read(state).items() <= written.items() for state in states)
    restore([state for state in states if read(state) != written][-1], here)
    run(here, *command)


def test_a_killed_predict_that_overwrites_another_leaves_no_mixture(here, tmp_path):
    run(here, *PREDICT)
    (here / 'photos' / '0.png').unlink()
    for state in list_states(here, tmp_path / 'states', *PREDICT, '--overwrite', cwd=here):
        files = {
            path.name: json.loads(path.read_text())
            for path in (state / 'predictions').glob('*.json')
        }
        if len(files) == 2:
            names = {image['file_name'] for image in files['images.json']['images']}
            assert {record['file_name'] for record in files['predictions.json']} == names


@pytest.mark.long
@pytest.mark.parametrize('data_format', ['classes', 'coco'])
def test_a_killed_training_on_a_folder_is_resumed_by_the_same_command(data_format, tmp_path):
    write_example(tmp_path / 'photos', data_format)
    command = [
        'train',
        '--data',
        'photos',
        '--resume',
        '--epochs',
        1,
        '--image-size',
        64,
        '--size',
        'mini',
    ]
    command += ['--workers', 0, '--device', 'cpu']
    folder = tmp_path / 'work_dirs'
    for state in list_states(folder, tmp_path / 'states', *command, cwd=tmp_path):
        restore(state, folder)
        run(tmp_path, *command)
        run(tmp_path, 'predict', folder / 'photos', 'photos/**/*', '--device', 'cpu')
