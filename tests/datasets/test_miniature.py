"""Miniatures of COCO, ADE20K and ImageNet-1K; test_checks.py and the dry run test that OpenMMLab packages read them."""

import pytest
from mmdet.datasets import CocoDataset

from mmgcvit.datasets.classes import COCO_CATEGORIES, make_coco_categories
from mmgcvit.datasets.miniature import write_miniature_ade20k, write_miniature_coco

from .. import fork_server


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    out = tmp_path_factory.mktemp('miniature') / 'all'
    made = fork_server.run('-m', 'mmgcvit', 'miniature', out)
    assert made.returncode == 0, made.stderr
    return out


def test_categories_have_the_ids_of_coco_or_are_numbered_from_one():
    assert tuple(category['name'] for category in COCO_CATEGORIES) == CocoDataset.METAINFO['classes']
    ids = [category['id'] for category in COCO_CATEGORIES]
    assert (len(ids), ids[0], ids[11], ids[-1]) == (80, 1, 13, 90)
    assert [(c['id'], c['name']) for c in make_coco_categories(['nut', 'bolt'])] == [(1, 'nut'), (2, 'bolt')]


def test_the_command_writes_all_three_datasets_once(root):
    assert {path.name for path in root.iterdir()} == {'coco', 'ADEChallengeData2016', 'imagenet', 'miniature.json'}
    assert 'up to date' in fork_server.run('-m', 'mmgcvit', 'miniature', root).stdout


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_files_are_reproducible_and_depend_on_the_seed(root, tmp_path):
    for write, name in ((write_miniature_coco, 'coco'), (write_miniature_ade20k, 'ADEChallengeData2016')):
        for seed in (0, 1):
            write(tmp_path / name / str(seed), seed=seed)
        assert files_of(tmp_path / name / '0') == files_of(root / name)
        assert files_of(tmp_path / name / '1') != files_of(root / name)
