"""The digits data set: real scans, honest split, COCO's and ADE20K's conventions."""

import json
import sys
from itertools import islice

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from mmgcvit.datasets.digits import SceneComposer

from .. import fork_server, programs

NUM = {'train': 12, 'val': 6}
ADE_FOLDERS = {'train': 'training', 'val': 'validation'}


def make(out, *options):
    return fork_server.run('-m', 'mmgcvit', 'digits', out, *options)


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    out = tmp_path_factory.mktemp('data') / 'digits'
    made = make(out, '--train', 12, '--val', 6, '--size', 128)
    assert made.returncode == 0, made.stderr
    return out


@pytest.fixture(params=NUM)
def split(request):
    return request.param


def test_train_and_val_share_no_scan():
    train, val = SceneComposer('train'), SceneComposer('val')
    assert not set(train.scans) & set(val.scans)
    assert len(train.scans) + len(val.scans) == 1797
    used = {split: {s for scene in islice(SceneComposer(split), 50) for s in scene.scans} for split in NUM}
    assert used['train'] <= set(train.scans)
    assert used['val'] <= set(val.scans)


def test_the_same_seed_gives_the_same_scenes_and_another_seed_others():
    scenes = [SceneComposer('val', seed=seed).compose() for seed in (3, 3, 4)]
    assert np.array_equal(scenes[0].image, scenes[1].image)
    assert not np.array_equal(scenes[0].image, scenes[2].image)


def test_no_two_objects_share_a_pixel_and_labels_are_the_scans():
    composer = SceneComposer('train', size=128)
    for scene in islice(composer, 20):
        assert scene.masks.sum(0).max() == 1
        assert not (scene.unclear & scene.masks.any(0)).any()
        assert all(mask.sum() > 20 for mask in scene.masks)
        assert scene.labels == [composer.digits[scan] for scan in scene.scans]


def test_the_coco_set_is_what_cocos_own_api_reads(digits, split):
    coco = COCO(str(digits / 'coco' / 'annotations' / f'instances_{split}2017.json'))
    assert len(coco.imgs) == NUM[split]
    assert [category['name'] for category in coco.loadCats(coco.getCatIds())] == list('0123456789')
    for annotation in coco.loadAnns(coco.getAnnIds()):
        rows, columns = np.nonzero(coco.annToMask(annotation))
        left, top = columns.min(), rows.min()
        assert annotation['bbox'] == [left, top, columns.max() - left + 1, rows.max() - top + 1]
        assert annotation['area'] == len(rows)
    for image in coco.imgs.values():
        assert cv2.imread(str(digits / 'coco' / f'{split}2017' / image['file_name'])).shape == (128, 128, 3)


def test_the_ade20k_set_shows_the_same_scenes(digits, split):
    root, folder = digits / 'ADEChallengeData2016', ADE_FOLDERS[split]
    images, maps = (sorted((root / kind / folder).iterdir()) for kind in ('images', 'annotations'))
    assert len(images) == NUM[split]
    assert [image.stem for image in images] == [labels.stem for labels in maps]
    coco = COCO(str(digits / 'coco' / 'annotations' / f'instances_{split}2017.json'))
    for image_id, path in enumerate(maps, start=1):
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert labels.shape == (128, 128)
        assert (labels == 1).mean() > 0.3
        objects = coco.loadAnns(coco.getAnnIds(image_id))
        for annotation in objects:
            assert set(labels[coco.annToMask(annotation) > 0]) == {annotation['category_id'] + 1}
        assert (labels > 1).sum() == sum(annotation['area'] for annotation in objects)


def test_the_written_splits_share_no_scan(digits):
    scans = {}
    for split in NUM:
        coco = json.loads((digits / 'coco' / 'annotations' / f'instances_{split}2017.json').read_text())
        scans[split] = {annotation['scan'] for annotation in coco['annotations']}
        scans[split] |= {int(path.stem[:4]) for path in (digits / 'imagenet' / split).rglob('*.jpg')}
    assert not scans['train'] & scans['val']
    assert len(scans['train']) + len(scans['val']) == 1797


def test_single_digits_lie_in_the_folders_of_their_classes(digits):
    composer = SceneComposer('val')
    images = list((digits / 'imagenet' / 'val').rglob('*.jpg'))
    assert len(images) == len(composer.scans)
    for path in images:
        assert path.parent.name == str(composer.digits[int(path.stem[:4])])
    assert cv2.imread(str(images[0])).shape == (32, 32, 3)


def test_a_set_that_cannot_be_made_leaves_the_old_one(digits):
    assert make(digits, '--size', 8).returncode == 1
    assert (digits / 'coco').is_dir()


def test_a_set_that_is_there_is_not_made_again(digits):
    before = (digits / 'digits.json').stat().st_mtime_ns
    made = make(digits, '--train', 12, '--val', 6, '--size', 128)
    assert 'up to date' in made.stdout
    assert (digits / 'digits.json').stat().st_mtime_ns == before


def test_a_folder_of_other_things_is_not_touched(tmp_path):
    """In a process of its own."""
    (tmp_path / 'thesis.tex').write_text('years of work')
    made = programs.run([sys.executable, '-m', 'mmgcvit', 'digits', tmp_path])
    assert made.returncode == 1
    assert 'was not made by this tool' in made.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']


def test_other_options_replace_the_set(tmp_path):
    out = tmp_path / 'digits'
    for train in (2, 3):
        assert make(out, '--train', train, '--val', 1, '--size', 128).returncode == 0
    annotations = json.loads((out / 'coco' / 'annotations' / 'instances_train2017.json').read_text())
    assert len(annotations['images']) == 3


@pytest.mark.parametrize(
    ('arguments', 'message'), [({'split': 'test'}, "'test'"), ({'split': 'val', 'size': 8}, '32 px')]
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        SceneComposer(**arguments)
