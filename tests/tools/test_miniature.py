"""Miniatures of COCO, ADE20K and ImageNet-1K; test_checks.py and the dry run test that OpenMMLab packages read them."""

from mmdet.datasets import CocoDataset

from mmgcvit.datasets.classes import COCO_CATEGORIES, make_coco_categories
from tools.smoke_config import write_miniature_ade20k, write_miniature_coco


def test_categories_have_the_ids_of_coco_or_are_numbered_from_one():
    assert tuple(category['name'] for category in COCO_CATEGORIES) == CocoDataset.METAINFO['classes']
    ids = [category['id'] for category in COCO_CATEGORIES]
    assert (len(ids), ids[0], ids[11], ids[-1]) == (80, 1, 13, 90)
    assert [(c['id'], c['name']) for c in make_coco_categories(['nut', 'bolt'])] == [(1, 'nut'), (2, 'bolt')]


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_files_are_reproducible_and_depend_on_the_seed(tmp_path):
    for write in (write_miniature_coco, write_miniature_ade20k):
        first, second, other = (tmp_path / write.__name__ / name for name in ('first', 'second', 'other'))
        for folder, seed in ((first, 0), (second, 0), (other, 1)):
            write(folder, seed=seed)
        assert files_of(first) == files_of(second)
        assert files_of(first) != files_of(other)
