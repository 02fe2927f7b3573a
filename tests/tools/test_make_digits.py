"""The digits dataset: real scans, disjoint splits, and the conventions of COCO, ADE20K and
ImageNet.
"""

from contextlib import suppress

import cv2
import pytest
from pycocotools.coco import COCO

from mmgcvit.errors import UserError
from tools.make_digits import FOLDERS, SceneComposer, write_folder_atomically

from .commands import NUM_VAL

NUM = {'train': 8, 'val': NUM_VAL}


def read_coco(digits, split):
    return COCO(str(digits / 'coco' / 'annotations' / f'instances_{split}2017.json'))


@pytest.mark.parametrize('split', NUM)
def test_coco_and_ade20k_datasets_have_the_same_scenes_of_labelled_scans(digits, split):
    coco = read_coco(digits, split)
    composer = SceneComposer(split)
    assert len(coco.imgs) == NUM[split]
    assert [category['name'] for category in coco.cats.values()] == list('0123456789')
    maps = sorted((digits / 'ADEChallengeData2016' / 'annotations' / FOLDERS[split]).iterdir())
    for image, path in zip(coco.imgs, maps, strict=True):
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert (labels == 1).mean() > 0.3  # background
        for annotation in coco.imgToAnns[image]:
            mask = coco.annToMask(annotation)
            assert tuple(annotation['bbox']) == cv2.boundingRect(mask)
            assert annotation['area'] == mask.sum() > 20
            # Masks that overlapped would give pixels of another label.
            assert set(labels[mask > 0]) == {annotation['category_id'] + 1}
            assert annotation['category_id'] == 1 + composer.digits[annotation['scan']]


def test_single_digits_are_in_class_folders_and_splits_share_no_scan(digits):
    scans = {}
    composer = SceneComposer('val')
    for split in NUM:
        scans[split] = {annotation['scan'] for annotation in read_coco(digits, split).anns.values()}
        images = list((digits / 'imagenet' / split).rglob('*.jpg'))
        for path in images:
            scan = int(path.stem[:4])
            scans[split].add(scan)
            assert path.parent.name == str(composer.digits[scan])
    assert len(images) == len(composer.scans)
    assert cv2.imread(str(images[0])).shape == (32, 32, 3)
    assert not scans['train'] & scans['val']
    assert len(scans['train'] | scans['val']) == 1797


def test_a_users_folder_is_kept_and_a_new_one_appears_only_complete(tmp_path):
    with suppress(OSError), write_folder_atomically(tmp_path / 'new'):
        raise OSError
    (tmp_path / 'picture.jpg').touch()
    with pytest.raises(UserError, match=r'already exists\. Choose another folder, or remove it'):
        write_folder_atomically(tmp_path).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ['picture.jpg']
