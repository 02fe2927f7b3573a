"""Whenever a command is killed, its files are whole and of one run, and the same command succeeds
afterwards.

Modules: `mmgcvit/commands`, `mmgcvit/host/files.py`.
"""

import json
import shutil

import cv2
import pytest

from ..moments import list_states, read_files, restore, run
from ..own.data.formats.made import write_example
from ..predict.conftest import CLASSES, config_of, picture_of

PREDICT = 'predict ../run photos --device cpu'
COMMANDS = [
    PREDICT,
    'publish ../run model.safetensors',
    'mistakes ../run --device cpu',
    pytest.param('export ../run model.onnx', marks=pytest.mark.long),
]


def read(folder):
    files = read_files(folder).items()
    return {name: content for name, content in files if not name.endswith('.unfinished')}


@pytest.fixture
def here(work_dirs, tmp_path):
    """Return a folder with photos and validation data, beside the work dir of a classifier."""
    shutil.copytree(work_dirs['classification'], tmp_path / 'run')
    config_of('classification').dump(tmp_path / 'run' / 'classify.py')  # with relative data
    here = tmp_path / 'here'
    photos = here / 'photos'
    photos.mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(photos / f'{number}.png'), picture_of(90, 120, number))
    for name in CLASSES['classification']:
        shutil.copytree(photos, here / 'data' / 'digits' / 'classes' / name)
    return here


@pytest.mark.slow
@pytest.mark.parametrize('command', COMMANDS)
def test_a_killed_command_leaves_whole_files_and_succeeds_when_it_is_repeated(
    command, here, tmp_path
):
    words = command.split()
    states = list_states(here, tmp_path / 'states', *words, cwd=here)
    written = read(here)
    assert all(read(state).items() <= written.items() for state in states)
    restore([state for state in states if read(state) != written][-1], here)
    run(here, *words)


@pytest.mark.slow
def test_a_killed_predict_that_overwrites_another_leaves_no_mixture(here, tmp_path):
    words = PREDICT.split()
    run(here, *words)
    (here / 'photos' / '0.png').unlink()
    for state in list_states(here, tmp_path / 'states', *words, '--overwrite', cwd=here):
        written = [state / 'predictions' / name for name in ('images.json', 'predictions.json')]
        if all(file.exists() for file in written):
            images, records = (json.loads(file.read_text()) for file in written)
            names = {image['file_name'] for image in images['images']}
            assert {record['file_name'] for record in records} == names


@pytest.mark.long
@pytest.mark.parametrize(
    'data_format', ['classes', pytest.param('coco', marks=pytest.mark.release)]
)
def test_a_killed_training_on_a_folder_is_resumed_by_the_same_command(data_format, tmp_path):
    write_example(tmp_path / 'photos', data_format)
    options = '--resume --epochs 1 --image-size 64 --size mini --workers 0 --device cpu'
    command = ['train', '--data', 'photos', *options.split()]
    folder = tmp_path / 'work_dirs'
    for state in list_states(folder, tmp_path / 'states', *command, cwd=tmp_path):
        restore(state, folder)
        run(tmp_path, *command)
        run(tmp_path, 'predict', folder / 'photos', 'photos/**/*', '--device', 'cpu')
