"""ImageNetV2's labels are its folders' names, not their places in the alphabet."""

from mmengine.config import Config

from mmgcvit.datasets.imagenet_v2 import ImageNetV2

from ..conftest import ROOT


def test_labels_are_the_folders_names(tmp_path):
    for number in range(1000):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / 'a.jpeg').touch()
    images = ImageNetV2(data_root=str(tmp_path))
    assert len(images) == 1000
    for i in range(1000):
        image = images.get_data_info(i)
        assert f'/{image["gt_label"]}/a.jpeg' in image['img_path']


def test_the_config_replaces_the_data_and_keeps_the_image_size():
    cfg = Config.fromfile(ROOT / 'configs' / 'gcvit_l_384_in1k.py')
    pipeline = cfg.test_dataloader.dataset.pipeline
    cfg.merge_from_dict(Config.fromfile(ROOT / 'configs/_base_/datasets/imagenet_v2.py').to_dict())
    dataset = cfg.test_dataloader.dataset
    assert dataset.type == 'mmgcvit.ImageNetV2'
    assert dataset.data_root == 'data/imagenetv2/imagenetv2-matched-frequency-format-val'
    assert dataset.pipeline == pipeline
    assert not dataset.split
