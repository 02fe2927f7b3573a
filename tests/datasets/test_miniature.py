"""Miniatures are what the hosts take for COCO, ADE20K and ImageNet-1K, odd cases included."""

import hashlib
import json
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdet.datasets import CocoDataset
from mmengine.registry import DefaultScope
from mmpretrain.datasets import ImageNet
from mmseg.datasets import ADE20KDataset
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmgcvit.datasets.miniature import (
    COCO_CATEGORIES,
    coco_categories,
    imagenet_folders,
    write_miniature_ade20k,
    write_miniature_coco,
    write_miniature_imagenet,
)
from mmgcvit.datasets.miniature.coco import run_lengths

from .. import fork_server, programs

SPLITS = {'train': 16, 'val': 6}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    out = tmp_path_factory.mktemp('miniature')
    write_miniature_coco(out / 'coco')
    write_miniature_ade20k(out / 'ade')
    write_miniature_imagenet(out / 'imagenet', imagenet_folders())
    return out


@pytest.fixture(params=SPLITS)
def split(request):
    return request.param


@pytest.fixture
def scope(request):
    with DefaultScope.overwrite_default_scope(request.param):
        yield


@pytest.fixture
def coco(root, split):
    return COCO(str(root / 'coco' / 'annotations' / f'instances_{split}2017.json'))


def test_categories_are_cocos_with_the_gaps_in_its_ids():
    assert tuple(category['name'] for category in COCO_CATEGORIES) == CocoDataset.METAINFO['classes']
    ids = [category['id'] for category in COCO_CATEGORIES]
    assert (len(ids), ids[0], ids[11], ids[-1]) == (80, 1, 13, 90)
    assert {c['name']: c['supercategory'] for c in COCO_CATEGORIES}['toothbrush'] == 'indoor'


def test_other_classes_are_numbered_from_one():
    assert [(c['id'], c['name']) for c in coco_categories(['nut', 'bolt'])] == [(1, 'nut'), (2, 'bolt')]


def test_the_annotation_file_has_cocos_keys(root, split):
    content = json.loads((root / 'coco' / 'annotations' / f'instances_{split}2017.json').read_text())
    assert set(content) == {'info', 'licenses', 'images', 'annotations', 'categories'}
    assert set(content['annotations'][0]) == {
        'segmentation', 'area', 'iscrowd', 'image_id', 'bbox', 'category_id', 'id'
    }  # fmt: skip


def test_images_are_of_many_shapes_and_some_are_empty(coco, root, split):
    images = list(coco.imgs.values())
    assert len(images) == SPLITS[split]
    for image in images:
        picture = cv2.imread(str(root / 'coco' / f'{split}2017' / image['file_name']))
        assert picture.shape == (image['height'], image['width'], 3)
    assert {image['height'] > image['width'] for image in images} == {True, False}
    assert 0 < sum(not coco.getAnnIds(image['id']) for image in images) < len(images)
    ids = sorted(image['id'] for image in images)
    assert ids != list(range(ids[0], ids[0] + len(ids)))


def test_objects_are_polygons_and_crowds_uncompressed_runs(coco):
    annotations = list(coco.anns.values())
    assert any(annotation['iscrowd'] for annotation in annotations)
    assert any(annotation['area'] < 32**2 for annotation in annotations)
    for annotation in annotations:
        rows, columns = np.nonzero(coco.annToMask(annotation))
        assert annotation['area'] == len(rows) > 0
        assert annotation['bbox'][:2] == [columns.min(), rows.min()]
        if annotation['iscrowd']:
            assert sum(annotation['segmentation']['counts']) == np.prod(annotation['segmentation']['size'])
        else:
            assert all(len(polygon) >= 6 for polygon in annotation['segmentation'])


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=6))
def test_run_lengths_are_cocos(rows):
    mask = np.array(rows)
    runs = coco_mask.frPyObjects({'counts': run_lengths(mask), 'size': list(mask.shape)}, *mask.shape)
    assert np.array_equal(coco_mask.decode(runs), mask)


@pytest.mark.parametrize('scope', ['mmdet'], indirect=True)
def test_mmdet_reads_it_with_boxes_and_masks(root, split, coco, scope):
    pipeline = [{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True}]
    dataset = CocoDataset(
        data_root=str(root / 'coco'),
        ann_file=f'annotations/instances_{split}2017.json',
        data_prefix={'img': f'{split}2017/'},
        pipeline=pipeline,
    )
    assert len(dataset) == SPLITS[split]
    seen = [dataset[i] for i in range(len(dataset))]
    assert sum(len(sample['gt_bboxes']) for sample in seen) == len(coco.anns)
    assert any(sample['gt_ignore_flags'].any() for sample in seen)
    assert all(len(sample['gt_masks']) == len(sample['gt_bboxes']) for sample in seen)
    labels = {label for sample in seen for label in sample['gt_bboxes_labels']}
    expected = {annotation['category_id'] for annotation in coco.anns.values()}
    assert {COCO_CATEGORIES[label]['id'] for label in labels} == expected


@pytest.mark.parametrize('scope', ['mmseg'], indirect=True)
@pytest.mark.parametrize(('folder', 'number'), [('training', 8), ('validation', 4)])
def test_mmseg_reads_150_classes_and_what_is_not_labelled(root, scope, folder, number):
    dataset = ADE20KDataset(
        data_root=str(root / 'ade'),
        data_prefix={'img_path': f'images/{folder}', 'seg_map_path': f'annotations/{folder}'},
        pipeline=[{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}],
    )
    assert len(dataset) == number
    maps = [dataset[i]['gt_seg_map'] for i in range(number)]
    assert all((labels == 255).any() and len(np.unique(labels)) >= 3 for labels in maps)
    assert max(labels[labels < 255].max() for labels in maps) < 150
    assert len({labels.shape for labels in maps}) > 1


@pytest.mark.parametrize('scope', ['mmpretrain'], indirect=True)
def test_mmpretrain_reads_1000_classes_by_their_official_folders(root, split, scope):
    dataset = ImageNet(data_root=str(root / 'imagenet'), split=split)
    assert [dataset.get_gt_labels()[i] for i in (0, 999)] == [0, 999]
    assert len(dataset) == 1000
    assert next(iter(dataset.folder_to_idx)) == 'n01440764'
    assert list(dataset.folder_to_idx) == sorted(dataset.folder_to_idx)


def files_of(folder):
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).digest() for p in folder.rglob('*') if p.is_file()
    }


def test_the_same_seed_gives_the_same_files_and_another_seed_others(root, tmp_path):
    for name, seed in (('same', 0), ('other', 1)):
        write_miniature_coco(tmp_path / name, seed=seed)
        write_miniature_ade20k(tmp_path / f'{name}_ade', seed=seed)
    assert files_of(tmp_path / 'same') == files_of(root / 'coco')
    assert files_of(tmp_path / 'same_ade') == files_of(root / 'ade')
    assert files_of(tmp_path / 'other') != files_of(root / 'coco')


@pytest.mark.slow
def test_the_tool_makes_all_three_once(tmp_path):
    out = tmp_path / 'miniature'
    made = fork_server.run('-m', 'mmgcvit', 'miniature', out)
    assert made.returncode == 0, made.stderr
    assert {path.name for path in out.iterdir()} == {'coco', 'ADEChallengeData2016', 'imagenet', 'miniature.json'}
    assert 'up to date' in fork_server.run('-m', 'mmgcvit', 'miniature', out).stdout


def test_the_tool_touches_no_folder_of_other_things(tmp_path):
    """In a process of its own."""
    (tmp_path / 'thesis.tex').write_text('years of work')
    made = programs.run([sys.executable, '-m', 'mmgcvit', 'miniature', tmp_path])
    assert made.returncode == 1
    assert 'was not made by this tool' in made.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.tex']
