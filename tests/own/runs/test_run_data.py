"""A run that was renamed, moved or copied reads its own files and data, and never those of another
run or project.
"""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmgcvit.datasets.loading import build_dataset
from mmgcvit.errors import UserError
from mmgcvit.host.config import read_config
from mmgcvit.host.files import make_absolute
from mmgcvit.own.data.formats import read_folder
from mmgcvit.own.runs.config_paths import list_paths
from mmgcvit.own.runs.run_data import locate_data
from mmgcvit.own.training.config import make_config
from mmgcvit.runs.folder import RunFolder

from ..data.formats.made import write_example

FORMATS = ('classes', 'coco', 'maps', 'white')


def start(data, work_dir, data_format='classes', is_smaller=False):
    """Write a dataset and what the start of a run on it leaves in its work dir; return its folder.

    If it is smaller, each split lacks its last image.
    """
    data = Path(data)
    if not data.exists():
        write_data(data, data_format)
    dataset = read_folder(data, 'semantic')
    if is_smaller:
        splits = {}
        for name, split in dataset.splits.items():
            splits[name] = split.select(range(len(split.image_names) - 1))
        dataset = replace(dataset, splits=splits)
    path, _ = make_config(dataset, work_dir, size='mini')
    Config.fromfile(path).dump(Path(work_dir, path.name))  # as mmengine does
    Path(work_dir, 'last_checkpoint').touch()
    return Path(work_dir)


def write_data(folder, data_format):
    """Write an example, or maps of 0 and 255, which a run converts."""
    if data_format != 'white':
        write_example(folder, data_format)
        return
    for part in ('images', 'masks'):
        (folder / part).mkdir(parents=True)
    (folder / 'classes.txt').write_text('background\nthing\n')
    for number in range(5):
        random = np.random.default_rng(number)
        image = random.integers(0, 255, (40, 40, 3), np.uint8)
        cv2.imwrite(str(folder / 'images' / f'{number}.jpg'), image)
        label_map = 255 * random.integers(0, 2, (40, 40), np.uint8)
        cv2.imwrite(str(folder / 'masks' / f'{number}.png'), label_map)


def locate(run, *data):
    run = RunFolder(run)
    return locate_data(run.config, run.config_file, data)


def read_samples(cfg):
    """Return the images, annotations and maps of a config's validation data, by their content."""
    dataset = build_dataset(cfg.val_dataloader.dataset, cfg.default_scope)
    samples = []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        maps = Path(info['seg_map_path']).read_bytes() if info.get('seg_map_path') else None
        annotations = json.dumps([info.get('gt_label'), info.get('instances')], default=str)
        samples.append((Path(info['img_path']).read_bytes(), maps, annotations))
    return samples


def rename(run):
    return Path(run).rename('work_dirs/first')


def move_deeper(run):
    Path('archive/2026').mkdir(parents=True)
    return Path(run).rename('archive/2026/photos')


def move_up(run):
    return Path(run).rename('first')


def copy(run):
    return Path(shutil.copytree(run, 'work_dirs/copy'))


def rename_and_take_the_old_name(run):
    """The other run has the same data, but another split."""
    moved = rename(run)
    start('photos', run, is_smaller=True)
    return moved


def move_the_project(run):
    here = Path.cwd()
    os.chdir(here.rename(here.with_name('moved')))
    return Path(run)


def call_from_elsewhere(run):
    """Another project, with data and a run of the same names."""
    project = Path.cwd()
    other = project.with_name('other')
    other.mkdir()
    os.chdir(other)
    start('photos', 'work_dirs/photos', is_smaller=True)
    return project / run


MOVES = (
    rename,
    move_deeper,
    move_up,
    copy,
    rename_and_take_the_old_name,
    move_the_project,
    call_from_elsewhere,
)
# After them, another run stands where this one was.
CONFUSING = (rename_and_take_the_old_name, call_from_elsewhere)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Change to the folder of a project, and return it."""
    folder = tmp_path / 'project'
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize(
    ('move', 'data_format', 'is_absolute'),
    [
        *((move, 'coco', False) for move in MOVES),
        *((move, name, False) for move in CONFUSING for name in FORMATS if name != 'coco'),
        *((move, 'coco', True) for move in CONFUSING),
    ],
)
def test_a_moved_run_is_the_same_run(move, data_format, is_absolute, project):
    """All its paths are in its own folder and its own data, and its content is the same."""
    work_dir = project / 'work_dirs/photos' if is_absolute else 'work_dirs/photos'
    run = start('photos', work_dir, data_format)
    expected = read_samples(locate(run))
    moved = move('work_dirs/photos')
    cfg = locate(moved)
    assert read_samples(cfg) == expected
    own = make_absolute(moved)
    data = own.parent.parent / 'photos' if move is call_from_elsewhere else make_absolute('photos')
    for path in list_paths(cfg):
        path = make_absolute(path)
        assert path.is_relative_to(own) or path.is_relative_to(data), path
    assert make_absolute(cfg.work_dir) == own


@pytest.mark.parametrize('data_format', FORMATS)
def test_a_moved_run_that_goes_on_is_that_of_its_new_name(data_format, project):
    """The config that it then writes has the new paths, so that it can be moved again."""
    run = start('photos', 'work_dirs/photos', data_format)
    moved = rename_and_take_the_old_name(run)
    cfg = locate(moved)
    expected = read_samples(cfg)
    cfg.dump(moved / 'photos.py')
    deeper = Path('a/b')
    deeper.mkdir(parents=True)
    assert read_samples(locate(moved.rename(deeper / 'again'))) == expected


@pytest.mark.parametrize('data_format', FORMATS)
@pytest.mark.parametrize('with_absolute', [False, True])
def test_where_the_data_are_now_is_asked_for_in_one_sentence(data_format, with_absolute, project):
    """The data were renamed, or only the run has left the project."""
    work_dir = project / 'work_dirs/photos' if with_absolute else 'work_dirs/photos'
    run = start('photos', work_dir, data_format)
    expected = read_samples(locate(run))
    Path('photos').rename('pictures')
    words = r'the data of the run .*work_dirs/photos are not found: .* --data FOLDER'
    with pytest.raises(UserError, match=words):
        locate(run)
    assert read_samples(locate(run, Path('pictures'))) == expected
    outside = project.with_name('outside')
    shutil.move(run, outside)
    with pytest.raises(UserError, match=r'are not found'):
        locate(outside)
    assert read_samples(locate(outside, Path('pictures'))) == expected
    write_example(Path('others/photos'), 'classes' if data_format == 'coco' else 'coco')
    with pytest.raises(UserError, match=r'does not have the data of the run .*: there is no'):
        locate(outside, Path('others/photos'))


def test_data_of_another_project_with_the_same_names_are_not_taken(project, monkeypatch):
    """Only the content of the images differs."""
    run = start('photos', 'work_dirs/photos')
    other = project.with_name('other')
    shutil.copytree('photos', other / 'photos')
    for image in (other / 'photos').rglob('*.jpg'):
        cv2.imwrite(str(image), np.zeros((72, 96, 3), np.uint8))
    moved = Path(shutil.copytree(run, other / 'work_dirs' / 'photos'))
    monkeypatch.chdir(other)
    with pytest.raises(UserError, match=r'photos does not have the image with which it was'):
        locate(moved)
    assert locate(moved, Path('photos')).work_dir == 'work_dirs/photos'


def test_the_data_of_a_run_may_lose_images_where_they_are(project):
    """Then others name the missing images."""
    run = start('photos', 'work_dirs/photos')
    for image in Path('photos/train').rglob('*.jpg'):
        image.unlink()
    assert locate(run).work_dir == 'work_dirs/photos'


def test_a_run_without_its_annotations_does_not_read_those_of_another(project):
    run = start('photos', 'work_dirs/photos')
    moved = rename_and_take_the_old_name(run)
    shutil.rmtree(moved / 'made')
    with pytest.raises(UserError, match=r'first lacks made/\S+, which the run has made\. Copy'):
        locate(moved)


def test_a_linked_data_folder_may_be_moved_with_its_project(project, monkeypatch):
    write_example(project.with_name('store'), 'classes')
    Path('photos').symlink_to(project.with_name('store'))
    run = start('photos', 'work_dirs/photos')
    expected = read_samples(locate(run))
    assert read_samples(locate(rename(run))) == expected


def test_the_config_in_made_is_that_of_its_folder(project):
    run = start('photos', 'work_dirs/photos')
    expected = read_samples(locate(run))
    moved = rename_and_take_the_old_name(run)
    file = moved / 'made' / 'photos.py'
    cfg = locate_data(read_config(file), file)
    assert read_samples(cfg) == expected
    assert cfg.work_dir == 'work_dirs/first'


@pytest.mark.parametrize('ann_file', ['a.json', ['a.json', 'b.json'], None, ''])
def test_only_the_root_of_the_paths_in_a_moved_run_changes(ann_file, project):
    """mmdet's panoptic datasets have None as a path by default, and those of one's own a list.
    Variables of templates have the paths that the datasets have.
    """
    Path('data/images').mkdir(parents=True)
    for name in ('a.json', 'b.json'):
        Path('data', name).touch()
    prefix = {'img': 'images', 'seg': None}
    dataset = {'type': 'Own', 'data_root': 'data', 'ann_file': ann_file, 'data_prefix': prefix}
    run = Path('work_dirs/photos')
    variables = {'data_root': 'data', 'train_annotations': 'a.json'}
    cfg = Config({'work_dir': str(run), 'train_dataloader': {'dataset': dataset}, **variables})
    run.mkdir(parents=True)
    cfg.dump(run / 'own.py')
    (run / 'last_checkpoint').touch()
    moved = Path('deep/er')
    moved.parent.mkdir()
    run.rename(moved)
    located = locate(moved)
    assert located.train_annotations == 'a.json'
    found = located.train_dataloader.dataset
    assert (found.data_root, found.ann_file, found.data_prefix) == ('data', ann_file, prefix)
