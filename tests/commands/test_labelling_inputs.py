"""What the commands of the loop of labelling cannot use is named in one sentence, and nothing is
written: a folder that has labels, names that pictures share, no pictures, another task, other
classes.

Modules: `mmgcvit/commands/mistakes.py`, `mmgcvit/commands/predict.py`, `mmgcvit/commands/suggest.py`,
`mmgcvit/commands/train.py`.
"""

from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import cv2
import pytest
import torch
from mmengine.config import Config

from mmgcvit.commands import mistakes
from mmgcvit.commands.mistakes import check_classes
from mmgcvit.errors import UserError
from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.training.config import make_config

from ..own.data.labelled import FORMATS, OBJECT_FORMATS, OPTIONS, TASKS, write_labels
from ..predict.conftest import picture_of

NAMES = ('a.png', 'b.png', 'c.png')
# The options that write a folder of pictures
OPTIONS_OF_WRITERS = {
    'predict': ['--labels', 'to correct'],
    'suggest': ['--copy-to', 'to correct', 2],
}
# Each format of labels, and for suggest, which writes none, a run of each task
WRITERS = [('predict', name) for name in FORMATS]
WRITERS += [('suggest', name) for name in ('coco', 'maps', 'class folders')]
# Folders that check-data reads
READ = [name for name in FORMATS if name not in ('label-studio', 'labelme')]


def read_all(folder):
    """Return the content of all files but the lock of a work dir, which goes with the process."""
    files = [path for path in Path(folder).rglob('*') if path.is_file() and path.name != '.lock']
    return {path: path.read_bytes() for path in files}


def write_pictures(*paths):
    for index, path in enumerate(map(Path, paths)):
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture_of(20, 30, seed=index))


def choose_run(work_dirs, label_format):
    return work_dirs[TASKS.get(label_format, 'detection')]


def call_writer(call, command, run, label_format, *pictures):
    """Call a command that writes a folder to label, of a run of the format's task."""
    options = [*OPTIONS_OF_WRITERS[command]]
    if command == 'predict' and label_format in OBJECT_FORMATS:
        options += ['--labels-format', label_format]
    return call(command, run, *pictures, *options, '--device', 'cpu')


@pytest.mark.parametrize(('command', 'label_format'), WRITERS)
def test_a_folder_that_has_labels_is_never_written(command, label_format, work_dirs, call):
    write_labels(Path('to correct'), label_format, NAMES)
    write_pictures('photos/new.png')
    before = read_all('.')
    run = choose_run(work_dirs, label_format)
    code, printed = call_writer(call, command, run, label_format, 'photos')
    assert code == 1
    assert 'to correct: expected a new or empty folder' in printed
    assert read_all('.') == before


@pytest.mark.parametrize(('command', 'label_format'), WRITERS)
@pytest.mark.parametrize('names', [('a/1.png', 'b/1.png'), ('a/1.jpg', 'a/1.png')])
def test_pictures_that_share_a_name_are_rejected(names, command, label_format, work_dirs, call):
    write_pictures(*names)
    before = read_all('.')
    run = choose_run(work_dirs, label_format)
    code, printed = call_writer(call, command, run, label_format, *names)
    assert code == 1
    assert f'{names[0]} and {names[1]} would share a label file' in printed
    assert read_all('.') == before
    assert not Path('to correct').exists()


@pytest.mark.parametrize(('command', 'label_format'), WRITERS)
def test_a_folder_without_pictures_is_rejected(command, label_format, work_dirs, call):
    Path('photos').mkdir()
    Path('photos', 'notes.txt').write_text('no picture')
    before = read_all('.')
    run = choose_run(work_dirs, label_format)
    code, printed = call_writer(call, command, run, label_format, 'photos')
    assert code == 1
    assert 'photos' in printed
    assert 'Traceback' not in printed
    assert read_all('.') == before
    assert not Path('to correct').exists()


@pytest.mark.parametrize('label_format', OBJECT_FORMATS)
@pytest.mark.parametrize('task', ['segmentation', 'classification'])
def test_formats_of_objects_are_rejected_for_other_runs(label_format, task, work_dirs, call):
    write_pictures('photos/a.png')
    options = ['--labels', 'to correct', '--labels-format', label_format, '--device', 'cpu']
    code, printed = call('predict', work_dirs[task], 'photos', *options)
    assert code == 1
    assert f'--labels-format is only for detectors, and this is a {task} model' in printed
    assert not Path('to correct').exists()


def write_corrected(folder, label_format):
    """Write a folder of labels that somebody has found right."""
    write_labels(folder, label_format, [f'{number}.png' for number in range(9)])
    (folder / 'corrected.txt').write_text('*')
    return folder


def write_run(folder, label_format, data):
    """Write the work dir of a run of ``train --data``, with a checkpoint."""
    made, _ = make_config(read_folder(data, OPTIONS.get(label_format)), folder, size='mini')
    cfg = Config.fromfile(made)
    cfg.dump(folder / made.name)
    torch.save({'state_dict': {'a': torch.zeros(1)}}, folder / 'epoch_1.pth')
    (folder / 'last_checkpoint').write_text('epoch_1.pth')
    return folder


@pytest.mark.parametrize('label_format', READ)
def test_a_training_does_not_start_from_a_run_of_another_task(label_format, call):
    """Its folder has the labels that ``predict`` wrote for a task, and somebody corrected."""
    data = write_corrected(Path('labels'), label_format)
    other_format = 'class folders' if label_format in OBJECT_FORMATS else 'coco'
    run = write_run(Path('old'), other_format, write_corrected(Path('other'), other_format))
    before = read_all('.')
    option = OPTIONS.get(label_format)
    task = ['--task', option] if option else []
    code, printed = call('train', '--data', data, *task, '--start', run, '--work-dir', 'new')
    assert code == 1
    assert '--start old: its --task was' in printed
    assert read_all('.') == before


@pytest.mark.parametrize('label_format', READ)
def test_a_run_does_not_take_data_of_another_task(label_format, call):
    """``--data`` says where the data of a run are now, which those of another folder are not."""
    other_format = 'class folders' if label_format in OBJECT_FORMATS else 'coco'
    run = write_run(Path('old'), label_format, write_corrected(Path('labels'), label_format))
    write_corrected(Path('other'), other_format)
    write_pictures('photos/new.png')
    before = read_all('.')
    code, printed = call('suggest', run, 'photos', '--data', 'other', '--device', 'cpu')
    assert code == 1
    assert 'other does not have the data of the run' in printed
    assert read_all('.') == before


@pytest.mark.parametrize('found', [('dog', 'cat'), ('cat', 'cow'), ('cat', 'dog', 'cow')])
def test_mistakes_are_not_sought_in_data_of_other_classes(found):
    model = SimpleNamespace(classes=['cat', 'dog'], checkpoint='best.pth')
    check_classes(model, SimpleNamespace(metainfo={'classes': ('cat', 'dog')}))
    words = f'best.pth was trained on the 2 classes cat, dog, but the data has the {len(found)} '
    with pytest.raises(UserError, match=f'{words}classes {", ".join(found)}'):
        check_classes(model, SimpleNamespace(metainfo={'classes': found}))


@pytest.mark.parametrize('find', [mistakes.list_mistakes, mistakes.list_label_errors])
def test_both_kinds_of_mistakes_are_sought_with_the_classes_of_the_model_only(
    find, empty_folder, monkeypatch
):
    model = SimpleNamespace(classes=['cat', 'dog'], checkpoint='best.pth')
    dataset = SimpleNamespace(metainfo={'classes': ('dog', 'cat')})
    monkeypatch.setattr('mmgcvit.commands.loading.load_silently', lambda *_: model)
    monkeypatch.setattr(mistakes, 'load_split', lambda *_: dataset)
    monkeypatch.setattr(mistakes, 'load_unwrapped', lambda *_: [dataset])
    args = mock.Mock(split='val', out_dir=None, default_dir=Path('mistakes'), overwrite=False)
    with pytest.raises(UserError, match=r'best\.pth was trained on the 2 classes cat, dog, but'):
        find(args, None, [])
