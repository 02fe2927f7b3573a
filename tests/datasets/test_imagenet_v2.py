"""ImageNetV2's labels are its folders' names, not their places in the alphabet."""

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mmgcvit.datasets.imagenet_v2 import ImageNetV2

from ..conftest import ROOT

SETS = {
    'matched_frequency': 'imagenetv2-matched-frequency-format-val',
    'threshold_0_7': 'imagenetv2-threshold0.7-format-val',
    'top_images': 'imagenetv2-top-images-format-val',
}


def write_set(root, folders=range(1000)):
    image = np.zeros((8, 8, 3), np.uint8)
    for folder in folders:
        (root / str(folder)).mkdir(parents=True)
        cv2.imwrite(str(root / str(folder) / 'a.jpeg'), image)


def test_labels_are_the_folders_names(tmp_path):
    write_set(tmp_path)
    images = ImageNetV2(data_root=str(tmp_path))
    assert len(images) == 1000
    for i in range(1000):
        image = images.get_data_info(i)
        assert f'/{image["gt_label"]}/a.jpeg' in image['img_path']


def test_folders_of_another_kind_are_refused(tmp_path):
    write_set(tmp_path, folders=[*range(999), 'n01440764'])
    with pytest.raises(ValueError, match=r"'n01440764' is no class number"):
        ImageNetV2(data_root=str(tmp_path))


@pytest.mark.parametrize('name', SETS)
def test_a_config_of_each_set_replaces_the_data_and_keeps_the_image_size(name):
    cfg = Config.fromfile(ROOT / 'configs' / 'gcvit_l_384_in1k.py')
    pipeline = cfg.test_dataloader.dataset.pipeline
    cfg.merge_from_dict(Config.fromfile(ROOT / f'configs/_base_/datasets/imagenet_v2_{name}.py').to_dict())
    dataset = cfg.test_dataloader.dataset
    assert dataset.type == 'mmgcvit.ImageNetV2'
    assert dataset.data_root == f'data/imagenetv2/{SETS[name]}'
    assert dataset.pipeline == pipeline
    assert not dataset.split
