"""Miniatures are what the hosts take for COCO, ADE20K and ImageNet-1K."""

import hashlib

import numpy as np
import pytest
from mmdet.datasets import CocoDataset
from mmengine.registry import DefaultScope
from mmpretrain.datasets import ImageNet
from mmseg.datasets import ADE20KDataset
from pycocotools.coco import COCO

from mmgcvit.datasets.classes import COCO_CATEGORIES, coco_categories
from mmgcvit.datasets.miniature import write_miniature_ade20k, write_miniature_coco

from .. import fork_server

SPLITS = {'train': 16, 'val': 6}


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    out = tmp_path_factory.mktemp('miniature') / 'all'
    made = fork_server.run('-m', 'mmgcvit', 'miniature', out)
    assert made.returncode == 0, made.stderr
    return out


@pytest.fixture(params=SPLITS)
def split(request):
    return request.param


@pytest.fixture
def coco(root, split):
    return COCO(str(root / 'coco' / 'annotations' / f'instances_{split}2017.json'))


def test_categories_are_cocos_with_the_gaps_in_its_ids_or_numbered_from_one():
    assert tuple(category['name'] for category in COCO_CATEGORIES) == CocoDataset.METAINFO['classes']
    ids = [category['id'] for category in COCO_CATEGORIES]
    assert (len(ids), ids[0], ids[11], ids[-1]) == (80, 1, 13, 90)
    assert [(c['id'], c['name']) for c in coco_categories(['nut', 'bolt'])] == [(1, 'nut'), (2, 'bolt')]


def test_the_tool_makes_all_three_once(root):
    assert {path.name for path in root.iterdir()} == {'coco', 'ADEChallengeData2016', 'imagenet', 'miniature.json'}
    assert 'up to date' in fork_server.run('-m', 'mmgcvit', 'miniature', root).stdout


def test_mmdet_reads_it_with_boxes_and_masks(root, split, coco):
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = CocoDataset(
            data_root=str(root / 'coco'),
            ann_file=f'annotations/instances_{split}2017.json',
            data_prefix={'img': f'{split}2017/'},
            pipeline=[{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations', 'with_bbox': True, 'with_mask': True}],
        )
        seen = [dataset[i] for i in range(len(dataset))]
    assert len(seen) == SPLITS[split]
    assert sum(len(sample['gt_bboxes']) for sample in seen) == len(coco.anns)
    assert all(len(sample['gt_masks']) == len(sample['gt_bboxes']) for sample in seen)
    labels = {label for sample in seen for label in sample['gt_bboxes_labels']}
    expected = {annotation['category_id'] for annotation in coco.anns.values()}
    assert {COCO_CATEGORIES[label]['id'] for label in labels} == expected


def test_mmseg_reads_150_classes_and_what_is_not_labelled(root):
    for folder, number in (('training', 8), ('validation', 4)):
        with DefaultScope.overwrite_default_scope('mmseg'):
            dataset = ADE20KDataset(
                data_root=str(root / 'ADEChallengeData2016'),
                data_prefix={'img_path': f'images/{folder}', 'seg_map_path': f'annotations/{folder}'},
                pipeline=[{'type': 'LoadImageFromFile'}, {'type': 'LoadAnnotations'}],
            )
            maps = [dataset[i]['gt_seg_map'] for i in range(len(dataset))]
        assert len(maps) == number
        assert all((labels == 255).any() and len(np.unique(labels)) >= 3 for labels in maps)
        assert max(labels[labels < 255].max() for labels in maps) < 150
        assert len({labels.shape for labels in maps}) > 1


def test_mmpretrain_reads_1000_classes_by_their_official_folders(root, split):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
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
    for write, name in ((write_miniature_coco, 'coco'), (write_miniature_ade20k, 'ADEChallengeData2016')):
        for seed in (0, 1):
            write(tmp_path / name / str(seed), seed=seed)
        assert files_of(tmp_path / name / '0') == files_of(root / name)
        assert files_of(tmp_path / name / '1') != files_of(root / name)
