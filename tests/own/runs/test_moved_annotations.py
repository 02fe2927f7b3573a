"""A run on several folders finds each of them again, also if they have moved apart."""

import os
import shutil
from pathlib import Path

import cv2
import pytest
from mmengine.config import Config

from mmgcvit.datasets.loading import build_dataset
from mmgcvit.errors import UserError
from mmgcvit.own.runs.run_data import locate_data
from mmgcvit.own.training.config import make_config
from mmgcvit.own.training.resuming import check_same_data
from mmgcvit.runs.folder import RunFolder

from ..data.labelled import write_labels

WORDS = ('oak', 'elm', 'fir', 'ash', 'bay', 'fig', 'gum', 'yew', 'tea', 'nut', 'rye', 'hop')
FOLDERS = ('photos', 'more photos')


def start(label_format, task=None, folders=FOLDERS):
    """Write two folders with pictures of the same names, and what the start of a run leaves."""
    for number, folder in enumerate(map(Path, folders)):
        names = [f'{word}.png' for word in WORDS]
        write_labels(folder, label_format, names, seed=100 * number)
        (folder / 'made_by.json').unlink()
    if label_format == 'maps':  # two orders of classes, so that maps are converted
        convert_maps(Path(folders[1]))
    made, summary = make_config(data=[*folders], task=task, size='mini')
    work_dir = made.parent.parent
    Config.fromfile(made).dump(work_dir / made.name)  # as mmengine does
    (work_dir / 'last_checkpoint').touch()
    assert summary.startswith(' and '.join(map(str, folders)))
    return RunFolder(work_dir)


def convert_maps(folder):
    (folder / 'classes.txt').write_text('owl\ncat\ndog\n')


def locate(run, *data):
    run = RunFolder(run.path)
    return locate_data(run.config, run.config_file, [*map(Path, data)])


def read_samples(cfg):
    """Return the images, maps and annotations of a config's training data, by their content."""
    dataset = build_dataset(cfg.train_dataloader.dataset, cfg.default_scope)
    samples = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        pixels = None
        if info.get('seg_map_path'):
            pixels = cv2.imread(info['seg_map_path'], cv2.IMREAD_UNCHANGED).tobytes()
        said = str([info.get('gt_label'), info.get('instances')])
        samples.append((Path(info['img_path']).read_bytes(), pixels, said))
    return samples


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """Change to the folder of a project, and return it."""
    folder = tmp_path / 'project'
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


FORMATS = [('coco', 'detect'), ('maps', 'semantic'), ('class folders', None)]


@pytest.mark.parametrize(('label_format', 'task'), FORMATS)
def test_folders_that_moved_apart_are_named_again(label_format, task, tmp_path):
    run = start(label_format, task)
    expected = read_samples(locate(run))
    assert len(expected) > len(WORDS)
    shutil.move('more photos', tmp_path / 'archive')
    with pytest.raises(UserError, match='folder 2 of 2, more photos at the start, does not have'):
        locate(run)
    folders = ['photos', tmp_path / 'archive']
    cfg = locate(run, *folders)
    assert read_samples(cfg) == expected
    # What a resumed run writes is located without them from then on, also after a move.
    cfg.dump(run.config_file)
    assert read_samples(locate(run)) == expected
    moved = run.path.rename('work_dirs/renamed')
    assert read_samples(locate(RunFolder(moved))) == expected
    assert len(list(moved.glob('made*'))) == 2
    assert read_samples(locate(RunFolder(moved), *folders)) == expected
    assert len(list(moved.glob('made*'))) == 2


def test_annotations_that_were_not_written_to_the_end_are_written_anew(tmp_path, monkeypatch):
    """A command was killed at the converted maps. The disk may list them last."""
    run = start('maps', 'semantic')
    expected = read_samples(locate(run))
    shutil.move('more photos', tmp_path / 'archive')
    folders = ['photos', tmp_path / 'archive']

    def stop(source, target):
        raise KeyboardInterrupt

    iterdir = Path.iterdir
    with monkeypatch.context() as patch:
        patch.setattr(Path, 'iterdir', lambda path: iter(sorted(iterdir(path), key=Path.is_dir)))
        patch.setattr('mmgcvit.own.runs.moved_annotations.shutil.copytree', stop)
        with pytest.raises(KeyboardInterrupt):
            locate(run, *folders)
    assert read_samples(locate(run, *folders)) == expected


@pytest.mark.parametrize(('label_format', 'task'), FORMATS)
def test_a_project_with_several_folders_may_be_moved(label_format, task, project):
    run = start(label_format, task)
    expected = read_samples(locate(run))
    os.chdir(project.rename(project.with_name('moved')))
    assert read_samples(locate(run)) == expected
    os.chdir('..')
    assert read_samples(locate(RunFolder(Path('moved') / run.path))) == expected
    assert len(list(Path('moved', run.path).glob('made*'))) == 1


def test_folders_elsewhere_are_found(tmp_path):
    run = start('coco', 'detect', [tmp_path / 'disk/a', Path('photos')])
    assert read_samples(locate(run))


def test_the_order_and_the_number_of_folders_are_checked():
    run = start('coco', 'detect')
    with pytest.raises(UserError, match='Pass 2 --data, in this order, and not 1'):
        locate(run, 'photos')
    for data in (['photos'], FOLDERS[::-1], [*FOLDERS, 'photos']):
        with pytest.raises(UserError, match=r'work dir of a run on .*photos and .*more photos'):
            check_same_data(run, [*map(Path, data)])
    check_same_data(run, [*map(Path, FOLDERS)])
    Path('more photos/images').rename('more photos/pictures')
    with pytest.raises(
        UserError, match=r'work_dirs \(number 2\) does not have the data of the run'
    ):
        locate(run, 'photos', 'work_dirs')


def test_a_config_is_made_of_a_dataset_or_of_folders():
    for arguments in ({}, {'data': []}):
        with pytest.raises(UserError, match='expected a dataset or data='):
            make_config(**arguments)
